"""What a timeline tells of runs that left no failure of their own, or none at all: nothing untrue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.models import AuditEntry, Job
from jobqueue.models.bulk_verbs import BulkVerb
from jobqueue.operating.words import absolute
from jobqueue.sql.clock import database_now
from jobqueue.worker.in_hand import BESIDE_A_STUCK_JOB
from tests.jobqueue.admin.steps import add_attempt, confirm, make_job, make_worker
from tests.jobqueue.admin.test_job_timeline import after, steps_of
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])
UNKNOWN = "no worker knew this job for 341 s (UNKNOWN_PROCESSOR_TIMEOUT): nobody registered it"


@pytest.fixture
def begin() -> datetime:
    """When the story of the test began."""
    return database_now("default") - timedelta(hours=1)


def _audit(job: Job, who: str, at: datetime, verb: str = "Put back on the road") -> None:
    about = {"object_type": "jobqueue.job", "object_id": str(job.pk), "jobs": 1, "job_ids": [job.pk]}
    AuditEntry.objects.create(who=who, verb=verb, text=f"{verb}: active → waiting", at=at, **about)


def _told(client: Client, job: Job) -> list[tuple[str, str]]:
    return [(step.label, step.text) for step in steps_of(client, job) if step.kind in ("attempt", "gap")]


# Put back -------------------------------------------------------------------------------------------


def test_a_stuck_job_that_was_put_back_says_by_whom_and_when_it_had_begun(admin_client: Client) -> None:
    job = make_job("stuck", attempt=1)
    confirm(admin_client, "release", job)
    [run] = [step for step in steps_of(admin_client, job) if step.kind == "attempt"]
    assert (run.label, run.text) == ("Attempt 1", "It was stuck, and admin put it back on the road.")
    assert job.started_at is not None
    assert "put back" in run.state and absolute(job.started_at) in run.began
    assert "left no failure" not in str(_told(admin_client, job))


def test_it_says_so_also_after_the_next_attempt_has_begun(admin_client: Client, begin: datetime) -> None:
    job = make_job("active", attempt=5, created_at=begin, started_at=after(begin, 90))
    for number in (1, 2, 3):
        add_attempt(job, number, finished_at=after(begin, number), started_at=after(begin, number))
    _audit(job, "anna", after(begin, 60))
    told = _told(admin_client, job)
    assert told[3] == ("Attempt 4", "It was stuck, and anna put it back on the road.")
    assert [label for label, _text in told] == [f"Attempt {number}" for number in range(1, 6)]


def test_a_bulk_action_put_it_back(admin_client: Client, begin: datetime) -> None:
    job = make_job("active", attempt=2, created_at=begin, started_at=after(begin, 90))
    action = ask(asked_by="pia", asked_at=after(begin, 15), verb=BulkVerb.RELEASE)
    Job.objects.filter(pk=job.pk).update(bulk_action=action.pk)
    assert _told(admin_client, job)[0] == ("Attempt 1", "It was stuck, and pia put it back on the road.")


def test_which_of_several_was_put_back_is_not_made_up(admin_client: Client, begin: datetime) -> None:
    job = make_job("active", attempt=3, created_at=begin, started_at=after(begin, 90))
    _audit(job, "anna", after(begin, 60))
    [(_label, text), _run] = _told(admin_client, job)
    assert "were cancelled or put back" in text


@pytest.mark.parametrize(("verb", "seconds"), [("Put back on the road", 95), ("Retry", 60)])
def test_what_was_done_later_or_otherwise_put_nothing_back(
    admin_client: Client, begin: datetime, verb: str, seconds: int
) -> None:
    job = make_job("active", attempt=2, created_at=begin, started_at=after(begin, 90))
    _audit(job, "anna", after(begin, seconds), verb)
    assert _told(admin_client, job)[0][1].startswith("Attempt 1 left no failure")


# Handed back ----------------------------------------------------------------------------------------


def test_a_run_that_was_handed_back_is_told_until_it_begins_anew(
    admin_client: Client, begin: datetime
) -> None:
    job = make_job(
        attempt=2,
        created_at=begin,
        started_at=after(begin, 30),
        run_at=after(begin, 202),
        reason=BESIDE_A_STUCK_JOB,
    )
    add_attempt(job, 1, started_at=begin, finished_at=after(begin, 3))
    run = steps_of(admin_client, job)[-2]
    assert (run.label, run.text) == ("Attempt 2", BESIDE_A_STUCK_JOB)
    assert "handed back" in run.state and absolute(after(begin, 30)) in run.began
    assert absolute(after(begin, 202)) in run.time


def test_a_run_after_a_failure_says_no_wait_that_nobody_knows(admin_client: Client, begin: datetime) -> None:
    job = make_job(attempt=3, created_at=begin)
    add_attempt(job, 1, started_at=begin, finished_at=after(begin, 3))
    add_attempt(job, 2, started_at=after(begin, 175), finished_at=after(begin, 182))
    facts = dict(steps_of(admin_client, job)[2].facts)
    assert facts == {"begun": "2.87 min after the attempt before had ended", "ran": "7.0 s"}


# Never begun ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["UnknownProcessor", "InvalidPayload"])
def test_what_no_worker_knew_never_ran(admin_client: Client, begin: datetime, error: str) -> None:
    times = {"started_at": after(begin, 340), "finished_at": after(begin, 341)}
    job = make_job("failed", attempt=1, created_at=begin, reason=f"{error}: {UNKNOWN}", **times)
    add_attempt(job, 1, error, message=UNKNOWN, worker_name="worker-1", **times)
    run = steps_of(admin_client, job)[-1]
    assert (dict(run.facts), run.began, run.worker) == ({"ran": "never"}, "", "")


def test_what_was_handed_on_before_it_ran_says_no_wait_since_it_was_due(
    admin_client: Client, begin: datetime
) -> None:
    times: dict[str, Any] = {"started_at": after(begin, 99), "finished_at": after(begin, 100)}
    job = make_job(
        "completed", created_at=begin, run_at=after(begin, 98), unfit_since=after(begin, 1), **times
    )
    assert dict(steps_of(admin_client, job)[-1].facts)["begun"] == "99 s after it was created"


# Lost -----------------------------------------------------------------------------------------------


def test_what_a_silent_worker_runs_is_stuck_and_nobody_knows_how_long_it_ran(admin_client: Client) -> None:
    later = database_now("default") + timedelta(seconds=30)
    job = make_job("active", worker_id=make_worker(silent_for=60).pk, deadline_at=later)
    run = steps_of(admin_client, job)[-1]
    assert "jq-stuck" in run.state and dict(run.facts)["ran"] == "unknown"


# Lengths --------------------------------------------------------------------------------------------


def test_one_run_has_one_length_on_its_page(admin_client: Client, begin: datetime) -> None:
    times = {"started_at": begin, "finished_at": after(begin, 172.8)}
    job = make_job("completed", created_at=begin, run_at=begin, **times)
    context = admin_client.get(f"/admin/jobqueue/job/{job.pk}/change/").context
    [row] = context["runs"].rows
    assert row.took == dict(context["timeline"][-1].facts)["ran"] == "2.88 min"
    assert "after 2.88 min in attempt 1" in context["why"]
