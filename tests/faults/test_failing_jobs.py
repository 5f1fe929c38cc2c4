"""A job that always fails: four runs at the promised times, four tracebacks, and a new budget by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, wait_until_done

SCHEDULE = [1.0, 2.0, 4.0]
"""Seconds between a failure and the next run, each within a fifth."""
# How much later than planned a run may start: the machine is busy.
PICK_UP = timedelta(seconds=1.5)
# The failure and the plan for the next run are written by two statements.
TICK = timedelta(milliseconds=50)


def planned_time(job: Job, attempt: int) -> datetime:
    """When the attempt is due, once the one before it has failed."""

    def run_at() -> datetime | None:
        return (
            Job.objects.waiting().filter(pk=job.pk, attempt=attempt).values_list("run_at", flat=True).first()
        )

    found: datetime = wait_until(run_at)
    return found


def check_failures(job: Job, *, numbers: list[int]) -> None:
    """The job has failed for good, and the tracebacks of just these attempts are kept."""
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("failed", numbers[-1], 4)
    attempts = list(job.attempts.all())
    assert [attempt.number for attempt in attempts] == numbers
    for attempt in attempts:
        assert (attempt.error_class, attempt.message) == ("ValueError", "no luck for unlucky")
        assert attempt.traceback.startswith("Traceback (most recent call last):")
        assert 'raise ValueError(f"no luck for {name}")' in attempt.traceback


def test_a_job_that_always_fails_runs_four_times_on_schedule(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker()
    job = enqueue("workload.fail", name="unlucky")

    planned = [planned_time(job, attempt) for attempt in (2, 3, 4)]
    wait_until_done()

    check_failures(job, numbers=[1, 2, 3, 4])
    assert len(workload.start_times("unlucky")) == 4
    for (failed, next_one), run_at, seconds in zip(
        pairwise(job.attempts.all()), planned, SCHEDULE, strict=True
    ):
        gap = run_at - failed.finished_at
        assert timedelta(seconds=0.8 * seconds) - TICK <= gap <= timedelta(seconds=1.2 * seconds) + TICK
        assert next_one.started_at is not None
        assert timedelta(0) <= next_one.started_at - run_at <= PICK_UP


def test_a_failed_job_that_is_retried_by_hand_has_a_full_new_budget(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker()
    job = enqueue("workload.fail_fast", name="unlucky")
    wait_until_done()
    check_failures(job, numbers=[1, 2, 3, 4])

    job.retry()
    wait_until_done()

    check_failures(job, numbers=[1, 2, 3, 4, 5, 6, 7, 8])
    assert len(workload.start_times("unlucky")) == 8
