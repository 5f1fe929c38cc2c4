"""Messages that are not ours: they are quarantined, and hurt no other."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
import redis
import rq
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue.broker import queues
from jobqueue.plain_rq import adoption
from tests.jobqueue.broker.steps import WORKER, claim, messages
from tests.jobqueue.steps import QUEUES, list_of


def _plain_rq(redis_client: redis.Redis) -> str:
    return str(django_rq.get_queue("email").enqueue(os.getcwd).id)


def _pickled_rq(redis_client: redis.Redis) -> str:
    return str(rq.Queue("email", connection=redis_client).enqueue(os.getcwd).id)


def _malicious_pickle(redis_client: redis.Redis) -> str:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, ("/nonexistent/evil",)

    redis_client.hset("rq:job:evil", mapping={"status": "queued", "data": pickle.dumps(Evil())})
    redis_client.rpush("rq:queue:email", "evil")
    return "evil"


def _without_a_hash(redis_client: redis.Redis) -> str:
    redis_client.rpush("rq:queue:email", "nothing behind it")
    return "nothing behind it"


def _uuid_of_digits(redis_client: redis.Redis) -> str:
    """One in three hundred of RQ's own ids begins like one of ours."""
    queue = django_rq.get_queue("email")
    return str(queue.enqueue(os.getcwd, job_id="12345678-1234-4123-8123-123456789012").id)


def _quarantine() -> None:
    for queue, message_id in queues.claim(QUEUES, 10, WORKER, "worker").quarantined:
        adoption.refuse(queue, message_id, "it is a test")


FOREIGN = [_plain_rq, _pickled_rq, _malicious_pickle, _without_a_hash, _uuid_of_digits]


@pytest.mark.parametrize("put", FOREIGN)
def test_a_foreign_message_is_quarantined_and_not_claimed(
    redis_client: redis.Redis, put: Callable[[redis.Redis], str]
) -> None:
    foreign = put(redis_client)
    taken = queues.claim(QUEUES, 10, WORKER, "worker")

    assert taken.messages == []
    assert taken.quarantined == [("email", foreign)]
    assert list_of(redis_client) == []
    assert redis_client.zscore("rq:failed:email", foreign)
    assert redis_client.zcard("rq:wip:email") == 0


@pytest.mark.parametrize("put", FOREIGN)
def test_a_quarantined_message_says_what_it_is_and_what_to_do(
    redis_client: redis.Redis, put: Callable[[redis.Redis], str]
) -> None:
    foreign = put(redis_client)
    _quarantine()

    fields: dict[bytes, bytes] = redis_client.hgetall(f"rq:job:{foreign}")  # type: ignore[assignment]
    explanation = fields[b"exc_info"].decode()
    assert f"{foreign!r} on queue 'email' was not published by jobqueue and was not run" in explanation
    assert "jobqueue.jobs.enqueue()" in explanation
    assert 'JOBQUEUE["ALLOWED_FUNCTIONS"]' in explanation
    assert "because it is a test" in explanation
    assert redis_client.hget(f"rq:job:{foreign}", "status") == b"failed"


def test_a_quarantined_message_is_logged(redis_client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    _plain_rq(redis_client)
    _quarantine()

    [record] = [record for record in caplog.records if record.name.startswith("jobqueue.")]
    assert record.levelname == "ERROR"
    assert "Quarantined" in record.message


def test_rqs_own_pages_can_show_a_quarantined_message(redis_client: redis.Redis) -> None:
    foreign = _plain_rq(redis_client)
    _quarantine()

    assert FailedJobRegistry("email", connection=redis_client, serializer=JSONSerializer).get_job_ids() == [
        foreign
    ]


@pytest.mark.parametrize(
    "odd",
    [
        "5-1x",
        "5-1-",
        "5-1-a-b",
        "5-1-ä",
        "5-1-a b",
        "5-",
        "-1",
        "a-b",
        "5_1",
        "5-1\n",
        "%d+",
        "x" * 5000,
        "5-1\x00",
        "",
    ],
)
def test_an_id_with_odd_characters_is_quarantined_and_hurts_no_other(
    redis_client: redis.Redis, odd: str
) -> None:
    redis_client.rpush("rq:queue:email", odd)
    queues.publish(messages(7))
    taken = queues.claim(QUEUES, 10, WORKER, "worker")

    assert [message.id for message in taken.messages] == ["7-1"]
    assert taken.quarantined == [("email", odd)]


def test_an_id_that_is_no_text_can_be_explained(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", b"\xff\xfe\x80")
    _quarantine()

    assert b"not published by jobqueue" in redis_client.hget(b"rq:job:\xff\xfe\x80", "exc_info")  # type: ignore[operator]
    assert not redis_client.exists("rq:jobqueue:foreign:email")


def test_an_id_that_is_no_text_is_quarantined_and_hurts_no_other(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", b"\xff\xfe\x80")
    queues.publish(messages(7))
    taken = queues.claim(QUEUES, 10, WORKER, "worker")

    assert [message.id for message in taken.messages] == ["7-1"]
    assert len(taken.quarantined) == 1


@pytest.mark.parametrize("odd", ["99999999999999999999-1", "5-99999999999999999999", "5-1-" + "x" * 65])
def test_an_id_no_job_of_ours_can_have_is_quarantined(redis_client: redis.Redis, odd: str) -> None:
    redis_client.rpush("rq:queue:email", odd)

    assert queues.claim(QUEUES, 10, WORKER, "worker").quarantined == [("email", odd)]


def test_a_key_of_another_type_under_a_foreign_id_does_not_stop_the_claim(redis_client: redis.Redis) -> None:
    redis_client.set("rq:job:foreign", "text")
    redis_client.rpush("rq:queue:email", "foreign")
    queues.publish(messages(7))

    assert claim() == ["7-1"]


def test_a_key_of_another_type_under_a_foreign_id_does_not_stop_the_explanation(
    redis_client: redis.Redis,
) -> None:
    redis_client.set("rq:job:foreign", "text")
    redis_client.rpush("rq:queue:email", "foreign")
    _quarantine()

    assert redis_client.get("rq:job:foreign") == b"text"
    assert not redis_client.exists("rq:jobqueue:foreign:email")
