"""The list of what was set aside: rows, messages and keys, with the button that puts them back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import OperationalError
from prometheus_client import generate_latest

from jobqueue.admin import set_aside
from jobqueue.models import Job
from tests.jobqueue.admin.steps import FAILED, QUEUES, entries_of, make_job, operator, page_of, text_of
from tests.jobqueue.hostile import spoil
from tests.jobqueue.steps import IDENTITY, claim_jobs

pytestmark = pytest.mark.django_db(databases=["default", "other"])
# What is set aside is counted on a thread of its own.
with_committed_rows = pytest.mark.django_db(transaction=True, databases=["default", "other"])
ASIDE = "/admin/jobqueue/setasidejob/"


def _set_aside(**fields: str) -> Job:
    job = make_job("failed", set_aside="its payload is list, not an object of arguments", **fields)
    return job


def _foreign(redis_client: object) -> None:
    """A message that nobody of ours wrote, which a worker met."""
    redis_client.rpush("rq:queue:email", "strange")  # type: ignore[attr-defined]
    claim_jobs(IDENTITY, 5)


def _gauge() -> dict[str, float]:
    lines = generate_latest().decode().splitlines()
    found = [line.split() for line in lines if line.startswith("jobqueue_set_aside{")]
    return {name.split('"')[1]: float(value) for name, value in found}


def test_a_row_is_listed_with_why_where_and_a_masked_content() -> None:
    job = _set_aside(payload={"email": "pia@example.com"})  # type: ignore[arg-type]

    page = text_of(operator("view_job").get(ASIDE))

    assert f"#{job.pk} sample.succeed" in page
    assert "its payload is list, not an object of arguments" in page
    assert "queue email" in page
    assert "pia@example.com" not in page


def test_a_message_is_listed_too(redis_client: object) -> None:
    _foreign(redis_client)

    page = text_of(operator("view_job").get(ASIDE))

    assert "message</span>" in page


def test_a_message_that_is_named_by_an_address_is_listed_without_it(redis_client: object) -> None:
    redis_client.rpush("rq:queue:email", "pia.payer@example.com")  # type: ignore[attr-defined]
    claim_jobs(IDENTITY, 5)

    page = text_of(operator("view_job").get(ASIDE))

    assert "message</span>" in page
    assert "pia.payer" not in page


def test_a_row_that_cannot_be_read_is_listed() -> None:
    job = _set_aside()
    spoil(job, "payload", "'[1]'")

    assert f"#{job.pk}" in text_of(operator("view_job").get(ASIDE))


def test_put_back_puts_it_on_the_road_and_writes_down_who_did_it() -> None:
    job = _set_aside()
    client = operator("view_job", "put_back_set_aside")

    page = text_of(client.post(ASIDE, {"chosen": f"job:default:{job.pk}"}, follow=True))

    job.refresh_from_db()
    assert (job.state, job.set_aside) == ("waiting", "")
    assert "1 put back." in page
    assert "Nothing is set aside." in page
    [entry] = entries_of(job)
    assert entry.startswith("Put back: set aside")


def test_a_message_is_put_back_and_judged_anew(redis_client: object) -> None:
    _foreign(redis_client)
    client = operator("view_job", "put_back_set_aside")
    page = text_of(client.get(ASIDE))
    choice = page.split('name="chosen" value="message:', 1)[1].split('"', 1)[0]

    answer = text_of(client.post(ASIDE, {"chosen": f"message:{choice}"}, follow=True))

    assert "put back" in answer
    assert LogEntry.objects.filter(change_message__startswith="Put back").exists()


def test_without_the_permission_nothing_is_put_back() -> None:
    job = _set_aside()
    client = operator("view_job")

    assert client.post(ASIDE, {"chosen": f"job:default:{job.pk}"}).status_code == 403
    assert "Put back</button>" not in text_of(client.get(ASIDE))


def test_nobody_sees_it_without_the_permission_to_view_jobs() -> None:
    assert operator("view_queue").get(ASIDE).status_code == 403


@pytest.mark.parametrize(
    "choice",
    [
        "",
        "job:default:x",
        "job:nowhere:1",
        f"job:default:{'9' * 5_000}",
        "key:9:x",
        f"key:{'9' * 5_000}:x",
        "message:0:none",
        "what:0:x",
    ],
)
def test_what_is_not_there_is_not_put_back(choice: str) -> None:
    page = text_of(operator("view_job", "put_back_set_aside").post(ASIDE, {"chosen": choice}, follow=True))

    assert "was not put back" in page


def test_a_row_whose_database_is_away_is_not_put_back_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(using: str) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(set_aside, "writing", away)
    page = text_of(
        operator("view_job", "put_back_set_aside").post(ASIDE, {"chosen": "job:default:1"}, follow=True)
    )

    assert "The database cannot be reached." in page


def test_without_redis_the_rows_are_listed_and_the_page_says_so(
    redis_closed: Callable[[str, int], None],
) -> None:
    job = _set_aside()

    page = text_of(operator("view_job").get(ASIDE))

    assert f"#{job.pk}" in page
    assert "Redis cannot be reached" in page


@with_committed_rows
@pytest.mark.parametrize("url", [QUEUES, FAILED, "/admin/jobqueue/job/"])
def test_other_pages_say_how_much_is_set_aside(url: str) -> None:
    client = operator("view_job", "view_queue")
    assert "Set aside: " not in text_of(client.get(url))
    _set_aside()

    assert "Set aside: 1 job" in text_of(client.get(url))


def test_the_page_of_the_job_has_why() -> None:
    job = _set_aside()

    assert "its payload is list" in text_of(operator("view_job").get(page_of(job)))


@with_committed_rows
def test_the_gauge_has_every_kind_always() -> None:
    assert _gauge() == {"job": 0, "message": 0, "key": 0}


@with_committed_rows
def test_the_gauge_counts_what_is_set_aside(redis_client: object) -> None:
    _set_aside()
    _foreign(redis_client)

    assert _gauge() == {"job": 1, "message": 1, "key": 0}


@with_committed_rows
def test_the_gauge_keeps_what_it_knew_while_redis_is_away(redis_closed: Callable[[str, int], None]) -> None:
    _set_aside()

    assert _gauge()["job"] == 1
    assert set(_gauge()) == {"job", "message", "key"}


def test_a_job_that_is_set_aside_is_never_pruned() -> None:
    job = _set_aside()
    call_command("jobqueue_prune", failed_days=0)

    assert Job.objects.filter(pk=job.pk).exists()


def test_a_job_that_is_set_aside_is_not_deleted_by_an_operator() -> None:
    aside, other = _set_aside(), make_job("failed")

    chosen = {"action": "delete", "_selected_action": [aside.pk, other.pk], "confirmed": "delete"}
    operator("view_job", "delete_job").post(FAILED, chosen)

    assert list(Job.objects.values_list("pk", flat=True)) == [aside.pk]
