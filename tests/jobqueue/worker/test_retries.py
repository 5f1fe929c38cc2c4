"""From failure to failure, and from one time to another: what a job has left of its budget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobqueue.jobs import RetryLater, enqueue
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from jobqueue.worker.outcomes import OutcomeStatus
from tests.jobqueue.processors_for_tests import CALL, FAIL, RETRY_LATER, Calls
from tests.jobqueue.steps import claimed, run, run_waiting
from tests.jobqueue.worker.steps import raising

pytestmark = pytest.mark.django_db

State = Job.State
Status = OutcomeStatus


def test_after_four_attempts_the_job_has_failed_with_all_four_errors_and_tracebacks(
    sample_processors: Calls,
) -> None:
    def behaviour(**_: Any) -> None:
        raise ValueError(f"broken {len(sample_processors.payloads)}")

    sample_processors.behaviour = behaviour
    job = enqueue(CALL)
    statuses = [run_waiting(job).status for _ in range(4)]

    assert statuses == [Status.RETRIED] * 3 + [Status.FAILED]
    assert (job.state, job.attempt, job.failures) == (State.FAILED, 4, 4)
    assert job.reason == "ValueError: broken 4"
    assert [(each.number, each.message) for each in job.attempts.all()] == [
        (number, f"broken {number}") for number in (1, 2, 3, 4)
    ]
    assert all(f"broken {each.number}" in each.traceback for each in job.attempts.all())


def test_the_waits_between_the_attempts_grow() -> None:
    job = enqueue(FAIL)
    delays = [outcome.delay for outcome in (run_waiting(job), run_waiting(job), run_waiting(job))]

    for delay, plain in zip(delays, (1, 2, 4), strict=True):
        assert delay is not None
        assert plain * 0.8 <= delay.total_seconds() <= plain * 1.2


def test_a_job_may_succeed_after_it_failed(sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(ValueError("broken"))
    job = enqueue(CALL)
    run_waiting(job)
    sample_processors.behaviour = lambda **_: None
    run_waiting(job)

    assert (job.state, job.attempt, job.failures, job.reason) == (State.COMPLETED, 2, 1, "")
    assert job.attempts.count() == 1


def test_another_time_uses_no_failure_and_leaves_no_attempt() -> None:
    job = enqueue(RETRY_LATER, seconds=60)
    for _ in range(10):
        run_waiting(job)

    assert (job.state, job.failures, job.attempt, job.reason) == (State.WAITING, 0, 11, "not yet")
    assert not job.attempts.exists()
    assert timedelta(seconds=50) < job.run_at - database_now("default") <= timedelta(seconds=60)


class _ServerAway(Exception):
    pass


def _asks_for_another_time_after_an_error(**_: Any) -> None:
    try:
        raise _ServerAway("no answer")
    except _ServerAway as error:
        raise RetryLater(60, "the server is away", error=error) from None


def test_another_time_after_an_error_keeps_each_as_an_attempt_and_uses_no_failure(
    sample_processors: Calls,
) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    for _ in range(10):
        run_waiting(job)

    assert (job.state, job.failures, job.reason) == (State.WAITING, 0, "the server is away")
    assert list(job.attempts.order_by("number").values_list("number", flat=True)) == list(range(1, 11))
    assert timedelta(seconds=50) < job.run_at - database_now("default") <= timedelta(seconds=60)


def test_another_time_after_an_error_keeps_its_class_message_and_traceback(sample_processors: Calls) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    outcome = run_waiting(job)
    attempt = job.attempts.get()

    assert (outcome.status, outcome.counts) == (Status.RETRIED, False)
    assert (attempt.error_class, attempt.message) == ("_ServerAway", "no answer")
    assert 'raise _ServerAway("no answer")' in attempt.traceback


def test_after_another_time_the_full_budget_of_retries_is_left(sample_processors: Calls) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    for _ in range(5):
        run_waiting(job)
    sample_processors.behaviour = raising(ValueError("broken"))
    statuses = [run_waiting(job).status for _ in range(4)]

    assert statuses == [Status.RETRIED, Status.RETRIED, Status.RETRIED, Status.FAILED]
    assert (job.failures, job.attempts.count()) == (4, 9)


def test_another_time_in_the_past_means_now() -> None:
    job = claimed(RETRY_LATER, seconds=-60)
    run(job)

    assert list(Job.objects.due()) == [job]


def test_another_time_beyond_any_calendar_does_not_keep_the_outcome_from_being_written(
    sample_processors: Calls,
) -> None:
    sample_processors.behaviour = raising(RetryLater(timedelta.max, "never"))
    job = claimed(CALL)
    run(job)

    assert job.state == State.WAITING
    assert job.run_at - database_now("default") > timedelta(days=30_000)


def test_a_reason_that_is_none_does_not_keep_the_outcome_from_being_written(sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(RetryLater(5, None))  # type: ignore[arg-type]
    job = claimed(CALL)
    run(job)

    assert job.state == State.WAITING
