"""A run that was stopped stays so on the timeline of its job, whatever became of the job since."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.delivery.rescue import DID_NOT_YIELD
from jobqueue.models import AuditEntry, Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, confirm, make_job, make_worker
from tests.jobqueue.admin.test_job_timeline import after, steps_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def begin() -> datetime:
    """When the story of the test began."""
    return database_now("default") - timedelta(hours=1)


def _audit(job: Job, text: str, at: datetime) -> None:
    about = {"object_type": "jobqueue.job", "object_id": str(job.pk), "jobs": 1, "job_ids": [job.pk]}
    AuditEntry.objects.create(who="anna", verb=text.partition(":")[0], text=text, at=at, **about)


def _ends(client: Client, job: Job) -> list[str]:
    steps = [step for step in steps_of(client, job) if step.kind == "attempt"]
    return ["stopped" if "stopped" in step.state else "failed" for step in steps if step.state]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("JobStopped", "stopped by anna: too early"),
        ("JobInterrupted", DID_NOT_YIELD),
        ("JobInterrupted", "worker w-1 is gone: no sign of life"),
        ("ValueError", "I/O operation on closed file"),
    ],
)
def test_what_was_stopped_stays_so_after_a_retry_by_hand(
    admin_client: Client, begin: datetime, error: str, message: str
) -> None:
    times: dict[str, Any] = {"started_at": after(begin, 1), "finished_at": after(begin, 71)}
    job = make_job("cancelled", created_at=begin, stop_asked_at=after(begin, 60), **times)
    add_attempt(job, 1, error, message=message, is_retried=False, **times)
    _audit(job, "Stop: active → stopping", after(begin, 60))
    assert _ends(admin_client, job) == ["stopped"]
    confirm(admin_client, "retry", job)
    assert _ends(admin_client, job) == ["stopped"]


def test_its_own_text_says_so_where_the_audit_was_pruned(admin_client: Client, begin: datetime) -> None:
    job = make_job(attempt=2, created_at=begin)
    add_attempt(job, 1, "JobStopped", message="stopped by anna", is_retried=False)
    assert _ends(admin_client, job) == ["stopped"]


def test_what_failed_before_and_after_a_stop_has_failed(admin_client: Client, begin: datetime) -> None:
    job = make_job("failed", attempt=4, created_at=begin)
    for number in (1, 2, 3, 4):
        start, end = after(begin, 10 * number), after(begin, 10 * number + 5)
        add_attempt(job, number, is_retried=number in (1, 3), started_at=start, finished_at=end)
    _audit(job, "Stop: active → stopping", after(begin, 22))
    assert _ends(admin_client, job) == ["failed", "stopped", "failed", "failed"]


def test_what_was_put_back_though_it_was_to_stop_did_not_go_back_on_the_road(
    admin_client: Client, begin: datetime
) -> None:
    job = make_job(
        "stuck",
        created_at=begin,
        started_at=after(begin, 1),
        worker_id=make_worker(silent_for=600).pk,
        stop_asked_at=after(begin, 60),
        stop_reason="stopped by anna",
    )
    _audit(job, "Stop: active → stopping", after(begin, 60))
    confirm(admin_client, "release", job)
    confirm(admin_client, "retry", job)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 2)
    said = " ".join(step.text for step in steps_of(admin_client, job) if step.kind in ("attempt", "gap"))
    assert "Attempt 1 left no failure" in said and "put it back on the road" not in said
