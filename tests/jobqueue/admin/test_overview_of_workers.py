"""Who works on the queues, on the overview: that nobody does is said before a job is due."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.jobqueue.admin.steps import make_job, make_worker, text_of
from tests.jobqueue.admin.test_overview import (
    NOBODY,
    OVERVIEW,
    REGION,
    _ago,
    _all_findings,
    _facts,
    _findings,
)

# On PostgreSQL other threads count what is set aside.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.mark.parametrize("silent_for", [None, 60])
def test_that_no_worker_is_alive_is_the_first_thing_wrong_before_any_job_is_due(
    admin_client: Client, silent_for: float | None
) -> None:
    if silent_for is not None:
        make_worker(silent_for=silent_for)
    make_job("stuck")
    make_job("delayed")
    assert _all_findings(admin_client)[0] == NOBODY
    [shown, *_others] = admin_client.get(REGION).context["findings"]
    assert shown.finding.url == "/admin/jobqueue/worker/"
    assert shown.finding.cure == (
        "What comes due waits; nothing is lost. Start one: manage.py rqworker email reminders settlement"
    )


def test_where_no_worker_is_alive_that_is_said_once_for_all_queues_with_what_waits(
    admin_client: Client,
) -> None:
    make_job(run_at=_ago(minutes=90, seconds=20))
    make_job(queue="reminders")
    assert _all_findings(admin_client) == [NOBODY]
    assert "2 jobs wait, the oldest for 90 min; none is lost." in text_of(admin_client.get(OVERVIEW))


def test_a_queue_that_no_living_worker_serves_is_named_before_any_job_is_due_there(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, **{f"q{n}": settings.RQ_QUEUES["email"] for n in range(6)}}
    make_worker(queues=["email", "reminders"])
    make_worker(queues=["settlement"], quiet_asked_at=_ago(minutes=1))
    assert _findings(admin_client) == [
        "No worker serves q0, q1, q2, q3, q4 and 1 more: nothing is due there now."
    ]
    assert "Start one: manage.py rqworker q0 q1 q2 q3 q4 q5" in text_of(admin_client.get(OVERVIEW))


def test_a_queue_with_jobs_and_no_worker(admin_client: Client) -> None:
    make_worker(queues=["reminders", "settlement"])
    make_job(run_at=_ago(minutes=90, seconds=20))
    [finding] = _findings(admin_client)
    assert finding == "1 job waits on email, and no worker serves it."
    text = text_of(admin_client.get(OVERVIEW))
    assert "manage.py rqworker email" in text
    assert "90 min ago" in text


def test_a_worker_of_another_version_serves_its_queues(admin_client: Client) -> None:
    make_worker(version="0.9 of long ago")
    make_worker(queues=["reminders", "settlement"], version="")
    make_job()
    make_job(queue="reminders")
    assert _findings(admin_client) == []


def test_a_worker_that_is_silent_serves_nothing(admin_client: Client) -> None:
    make_worker(queues=["reminders", "settlement"])
    make_worker(silent_for=60)
    make_job()
    assert len(_findings(admin_client)) == 1


@pytest.mark.parametrize("told", ["quiet_asked_at", "stop_asked_at", "stopping"])
def test_a_worker_that_claims_nothing_serves_nothing_and_that_is_said(
    admin_client: Client, told: str
) -> None:
    make_worker(**{told: True if told == "stopping" else _ago(minutes=1)})
    make_job()
    make_job()
    assert _findings(admin_client) == [
        "2 jobs wait on email, and every worker that serves it is quiet or ending."
    ]
    assert _facts(admin_client, "email")["workers"] == "0"
    assert "Let one claim again, or start another: manage.py rqworker email" in text_of(
        admin_client.get(OVERVIEW)
    )
