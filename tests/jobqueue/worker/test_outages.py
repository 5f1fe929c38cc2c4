"""A job that meets a database which is away waits, costs nothing, and fails only when that lasts too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.db.models import F

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job
from jobqueue.operating.explain import explain, gather
from jobqueue.sql.clock import database_now
from jobqueue.worker import outages
from jobqueue.worker.outcomes import OutcomeStatus
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.sql.outages_for_tests import locked_error
from tests.jobqueue.steps import run_waiting
from tests.jobqueue.worker.steps import raising

pytestmark = pytest.mark.django_db

State = Job.State
Status = OutcomeStatus


@pytest.fixture
def away(sample_processors: Calls, tmp_path: Path) -> Iterator[Calls]:
    """The job finds its database locked."""
    sample_processors.behaviour = raising(locked_error(tmp_path))
    yield sample_processors


def _pass_time(seconds: float) -> None:
    """What was written before lies so much further back."""
    Attempt.objects.update(started_at=F("started_at") - timedelta(seconds=seconds))


def test_it_waits_without_having_used_up_an_attempt_and_says_for_what(away: Calls) -> None:
    job = enqueue(CALL)
    outcome = run_waiting(job)

    assert outcome.status == Status.RETRIED
    assert (job.state, job.failures) == (State.WAITING, 0)
    assert job.reason == "waits for the database: OperationalError: database is locked"
    assert timedelta(0) < job.run_at - database_now("default") <= timedelta(seconds=1.2)


def test_it_starts_anew_when_the_database_is_back_with_its_whole_budget(away: Calls) -> None:
    job = enqueue(CALL)
    for _ in range(6):
        run_waiting(job)
    away.behaviour = lambda **_: None

    run_waiting(job)

    assert (job.state, job.failures, job.reason) == (State.COMPLETED, 0, "")


def test_all_runs_of_one_outage_leave_one_failed_attempt_that_says_so(away: Calls) -> None:
    job = enqueue(CALL)
    for _ in range(4):
        run_waiting(job)

    attempt = job.attempts.get()
    assert (attempt.number, attempt.error_class) == (4, "DatabaseUnavailable")
    assert attempt.message == "OperationalError: database is locked"
    assert "database is locked" in attempt.traceback


@pytest.mark.parametrize(("waited", "pause"), [(0, 1), (1, 2), (3, 4), (7, 8), (59, 60), (3000, 60)])
def test_the_pauses_double_up_to_a_minute(waited: float, pause: float) -> None:
    assert 0.8 * pause <= outages.pause_after(waited).total_seconds() <= 1.2 * pause


def test_the_pause_is_as_long_as_the_job_has_waited(away: Calls) -> None:
    job = enqueue(CALL)
    run_waiting(job)
    _pass_time(30)
    run_waiting(job)

    assert timedelta(seconds=24) < job.run_at - database_now("default") < timedelta(seconds=39)


def test_after_an_hour_it_fails_as_after_any_error(away: Calls) -> None:
    job = enqueue(CALL)
    run_waiting(job)
    _pass_time(3600)

    statuses = [run_waiting(job).status for _ in range(4)]
    job.refresh_from_db()

    assert statuses == [Status.RETRIED] * 4  # as the run ended; what became of it says the row
    assert (job.state, job.failures) == (State.FAILED, 4)
    assert job.reason == "OperationalError: database is locked"
    assert [(each.number, each.error_class) for each in job.attempts.all()] == [(5, "DatabaseUnavailable")]


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_step_of_the_databases_clock_is_no_wait(away: Calls, step: float) -> None:
    job = enqueue(CALL)
    run_waiting(job)
    _pass_time(20)
    moved = timedelta(seconds=step)
    Attempt.objects.update(started_at=F("started_at") - moved, finished_at=F("finished_at") - moved)

    run_waiting(job)

    assert (job.state, job.failures) == (State.WAITING, 0)
    attempt = job.attempts.get()
    assert attempt.started_at is not None
    assert timedelta(seconds=20) <= attempt.finished_at - attempt.started_at < timedelta(seconds=60)


def test_for_how_long_is_a_setting(away: Calls, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"OUTAGE_RETRY_FOR": 0}
    job = enqueue(CALL)
    run_waiting(job)

    assert (job.state, job.failures) == (State.WAITING, 1)
    assert job.attempts.get().error_class == "OperationalError"


def test_an_outage_after_a_run_that_ended_otherwise_begins_anew(away: Calls) -> None:
    job, behaviour = enqueue(CALL), away.behaviour
    run_waiting(job)
    _pass_time(3600)
    away.behaviour = raising(ValueError("something else"))
    run_waiting(job)
    away.behaviour = behaviour

    run_waiting(job)

    assert (job.state, job.failures) == (State.WAITING, 1)
    assert job.attempts.count() == 3


def test_what_the_processor_did_wrong_costs_an_attempt(sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(OperationalError("no such table: nowhere"))
    job = enqueue(CALL)
    run_waiting(job)

    assert job.failures == 1


def test_operators_are_told_what_it_waits_for(away: Calls) -> None:
    job = enqueue(CALL)
    run_waiting(job)
    Job.objects.update(run_at=F("run_at") + timedelta(minutes=1))
    job.refresh_from_db()

    text = explain(job, gather(job))
    assert text.startswith("Waits for the database, and runs again in ")
    assert "without having used up an attempt: OperationalError: database is locked." in text


def test_it_is_a_warning_with_the_ids_of_the_job(away: Calls, caplog: pytest.LogCaptureFixture) -> None:
    job = enqueue(CALL)
    run_waiting(job)

    [record] = [record for record in caplog.records if record.name == "jobqueue.jobs"]
    assert record.levelname == "WARNING"
    assert "waits for the database: OperationalError: database is locked" in record.getMessage()
    assert record.job_id == job.pk  # type: ignore[attr-defined]
