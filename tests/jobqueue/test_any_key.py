"""Any primary key, id and name: what is derived from them can be kept, and makes no save fail."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from jobqueue.broker import queues
from jobqueue.broker.message import Message
from jobqueue.exceptions import InvalidUniqueKey
from jobqueue.jobs import enqueue
from jobqueue.models import Job, subject_of, subject_text
from jobqueue.worker import performing
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, claim_jobs, messages_of, settle

pytestmark = pytest.mark.django_db

KEYS = [
    "a" * 250,
    "soft\u00adhyphen",
    "line\nfeed\r\n",
    "quotes ' \" `",
    "a:b:c",
    "(1, 2)",
    "-5-1",
    "../../etc",
    "żółw 🐢 ‮",
    " spaces around ",
    "%00_0A%",
    "ﷺ" * 250,
]


class _Row:
    """What stands for a row with any key: a session has a text as its key."""

    def __new__(cls, key: Any) -> Any:
        return Session(session_key=key)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_job_about_a_row_with_any_key_is_written_and_found(key: str) -> None:
    row = _Row(key)

    job = enqueue(SUCCEED, subject=row)

    assert len(job.subject) <= 200
    assert list(Job.objects.about(row)) == [job]
    assert list(Job.objects.about(f"sessions.session:{key}")) == [job]
    assert not Job.objects.about(_Row(f"{key}x")).exists()


@pytest.mark.parametrize(
    "pk", [0, -5, 2**63 - 1, -(2**63), uuid.UUID(int=7), 1.5, True, b"\xff", (1, "a")], ids=str
)
def test_keys_of_other_kinds_are_texts_too(pk: Any) -> None:
    subject = subject_of(User(pk=pk)) if not isinstance(pk, tuple) else subject_text(f"auth.user:{pk}")

    assert subject == f"auth.user:{pk}"


def test_long_keys_that_begin_alike_are_told_apart() -> None:
    first, second = subject_of(_Row("a" * 300)), subject_of(_Row("a" * 301))

    assert first != second
    assert first.startswith("sessions.session:aaaa")


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_no_database_takes_is_hashed(text: str) -> None:
    job = enqueue(SUCCEED, subject=_Row(text))

    job.refresh_from_db()
    assert job.subject == subject_of(_Row(text))


@pytest.mark.parametrize("pk", [0, 10**18 - 1, 10**18, 5 * 10**18, 2**63 - 1])
def test_a_job_of_any_id_is_published_claimed_and_done(pk: int) -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(id=pk)
    job = Job.objects.get(pk=pk)

    queues.publish(messages_of([job]))
    [claimed] = claim_jobs(IDENTITY, 5)
    settle([performing.perform(claimed)])

    assert Job.objects.get(pk=pk).state == "completed"


@pytest.mark.parametrize("text", ["9223372036854775808-1", "99999999999999999999-1"])
def test_an_id_that_no_row_can_have_is_none_of_ours(text: str, redis_client: Any) -> None:
    with pytest.raises(ValueError, match="is no message id"):
        Message.parse("email", text)
    redis_client.rpush("rq:queue:email", text)

    assert not claim_jobs(IDENTITY, 5)
    assert redis_client.zscore("rq:failed:email", text) is not None


BINARY = [b"\xff\x00key", bytearray(b"\xff\x00key"), memoryview(b"\xff\x00key")]


@pytest.mark.parametrize("pk", BINARY, ids=["bytes", "bytearray", "memoryview"])
def test_a_binary_key_has_one_text_however_the_driver_gives_it(pk: Any) -> None:
    job = enqueue(SUCCEED, subject=_Row(pk))

    assert job.subject == subject_of(_Row(b"\xff\x00key"))
    assert list(Job.objects.about(_Row(memoryview(b"\xff\x00key")))) == [job]
    assert "at 0x" not in job.subject


def test_so_it_has_within_a_key_of_several_fields() -> None:
    subjects = {subject_of(_Row((1, pk, uuid.UUID(int=7)))) for pk in BINARY}

    assert subjects == {subject_of(_Row((1, b"\xff\x00key", uuid.UUID(int=7))))}


@pytest.mark.parametrize(
    "pk", [b"\xff" * 20_000, ("a" * 20_000, 1), "a" * 20_000], ids=["bytes", "pair", "text"]
)
def test_a_key_of_many_kilobytes_is_hashed(pk: Any) -> None:
    job = enqueue(SUCCEED, subject=_Row(pk), unique_key="one")

    assert len(job.subject) <= 200
    assert list(Job.objects.about(_Row(pk))) == [job]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_key_that_is_written_with_its_place_in_memory_is_refused_before_anything_is_written(
    wrapped: bool,
) -> None:
    class Opaque:
        pass

    pk = (1, Opaque()) if wrapped else Opaque()
    with pytest.raises(InvalidUniqueKey, match="of the type Opaque, which has no text; allowed are"):
        enqueue(SUCCEED, subject=_Row(pk))
    assert not Job.objects.exists()
