"""PostgreSQL is killed right after a step of a job's way: each job runs as often as it must.

On a server of its own, whose commits reach the disk only if they wait for it. Collected on PostgreSQL only
(conftest.py).
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, transaction
from django.db.models.functions import Now

from jobqueue.exceptions import JobTransitionRefused
from jobqueue.jobs import cancel, enqueue, enqueue_many
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.faults.crashes import CrashingPostgreSQL, running
from tests.faults.steps import ONE_JOB, QUICK
from tests.workload.fixtures import Workload, note, wait_until_done

pytestmark = pytest.mark.xdist_group("PostgreSQL that crashes")  # they share what takes long to make

NAME = "crashed"
KEY = "only one of these"
# Nothing else is written soon after a step, which would take the step along to the disk.
QUIET = {"HEARTBEAT_INTERVAL": 10, "WORKER_SILENCE": 60, "LOST_AFTER": 60}
# And what says "waiting" while its job runs would be published again before the job ends.
IMPATIENT = QUIET | {"LOST_AFTER": 0.5, "RELAY_INTERVAL": 0.3}
LOAD = 50


@pytest.fixture(scope="module")
def _server() -> Iterator[CrashingPostgreSQL]:
    with running(CrashingPostgreSQL) as server:
        yield server


@pytest.fixture
def postgresql(_server: CrashingPostgreSQL, transactional_db: None) -> Iterator[CrashingPostgreSQL]:
    """A PostgreSQL to kill, with an empty database that this test and its workers work on."""
    _server.renew()
    with _server.as_the_database():
        yield _server


def _crash(postgresql: CrashingPostgreSQL) -> None:
    postgresql.crash()
    postgresql.start_again()


def _start_job(postgresql: CrashingPostgreSQL, workload: Workload, **options: Any) -> Job:
    postgresql.stop_writing_ahead()
    job = enqueue("workload.wait", name=NAME, **options)
    workload.wait_for_start(NAME)
    return job


def _crash_after_claim(postgresql: CrashingPostgreSQL, workload: Workload, **options: Any) -> Job:
    """A job that runs, and waits for its gate, while PostgreSQL is killed and started again."""
    job = _start_job(postgresql, workload, **options)
    _crash(postgresql)
    return job


def _let_the_relay_go_round(workload: Workload) -> None:
    """Return once the relay has looked for everything that it publishes."""
    # It may have been in the middle of a look when it took the first.
    for name in ("first look", "second look"):
        done = sum(workload.effects().values())
        note(name, queue="settlement", delay=3600).run_now()
        workload.wait_for_effects(done + 1)


def _assert_done_in_one_run(job: Job, workload: Workload, name: str = NAME) -> None:
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert (len(workload.start_times(name)), workload.effects()[name]) == (1, 1)


def test_what_does_not_wait_for_the_disk_is_forgotten_here(postgresql: CrashingPostgreSQL) -> None:
    postgresql.stop_writing_ahead()
    Group.objects.create(name="waited")
    postgresql.execute("SET synchronous_commit = off", "INSERT INTO auth_group (name) VALUES ('forgotten')")

    _crash(postgresql)

    assert Group.objects.filter(name="waited").count() == 1


# Claim ----------------------------------------------------------------------------------------------


def test_a_job_that_ends_while_postgresql_is_down_counts(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(jobqueue=QUIET)
    job = _start_job(postgresql, workload)
    postgresql.crash()
    workload.open_gate(NAME)
    worker.wait_for_line("cannot settle 1 jobs for now")

    postgresql.start_again()

    _assert_done_in_one_run(job, workload)


def test_a_job_that_was_claimed_right_before_is_active_at_once(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=QUIET)

    job = _crash_after_claim(postgresql, workload)

    job.refresh_from_db()
    assert job.state == "active"
    workload.open_gate(NAME)
    _assert_done_in_one_run(job, workload)


@pytest.mark.parametrize(
    "options",
    [{"delay": 0.5}, {"unique_key": KEY}, {"delay": 0.5, "unique_key": KEY}],
    ids=["delayed", "unique", "delayed and unique"],
)
def test_a_job_that_was_claimed_right_before_does_not_start_again_beside_its_run(
    options: dict[str, Any], postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=IMPATIENT)
    job = _crash_after_claim(postgresql, workload, **options)

    _let_the_relay_go_round(workload)

    for _ in range(2):
        workload.open_gate(NAME)
    _assert_done_in_one_run(job, workload)


@pytest.mark.parametrize("size", [ONE_JOB, ()], ids=["one thread", "default threads"])
def test_a_job_with_the_key_of_one_that_was_claimed_right_before_runs_too(
    size: tuple[str, ...], postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*size, jobqueue=QUIET)
    first = _crash_after_claim(postgresql, workload, unique_key=KEY)

    second = enqueue("workload.wait", name="second", unique_key=KEY)

    for name in (NAME, "second"):
        workload.open_gate(name)
    _assert_done_in_one_run(first, workload)
    _assert_done_in_one_run(second, workload, "second")


def test_a_job_with_the_key_of_one_that_runs_enqueued_right_before_runs_too(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB, jobqueue=QUIET)
    first = _start_job(postgresql, workload, unique_key=KEY)
    second = enqueue("workload.wait", name="second", unique_key=KEY)

    _crash(postgresql)

    for name in (NAME, "second"):
        workload.open_gate(name)
    _assert_done_in_one_run(first, workload)
    _assert_done_in_one_run(second, workload, "second")


def test_a_job_that_was_claimed_right_before_cannot_be_cancelled(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=QUIET)
    job = _crash_after_claim(postgresql, workload)

    with pytest.raises(JobTransitionRefused):
        cancel(job)

    workload.open_gate(NAME)
    _assert_done_in_one_run(job, workload)


# Enqueue, cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"delay": 1}, {"unique_key": KEY}], ids=["due", "delayed", "unique"])
def test_a_job_that_was_enqueued_right_before_runs_once(
    options: dict[str, Any], postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    postgresql.stop_writing_ahead()
    job = note(NAME, **options)

    _crash(postgresql)

    rqworker(jobqueue=IMPATIENT)
    _assert_done_in_one_run(job, workload)


def test_a_unique_job_that_was_enqueued_right_before_holds_its_key(postgresql: CrashingPostgreSQL) -> None:
    postgresql.stop_writing_ahead()
    note(NAME, unique_key=KEY)

    _crash(postgresql)

    assert note("second", unique_key=KEY).payload == {"name": NAME}


def test_a_unique_job_whose_transaction_was_open_does_not_exist_and_its_caller_hears_of_it(
    postgresql: CrashingPostgreSQL,
) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        note(NAME, unique_key=KEY)
        postgresql.crash()

    postgresql.start_again()

    assert not Job.objects.exists()


def test_the_key_of_a_job_whose_transaction_was_open_is_free(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        note(NAME, unique_key=KEY)
        postgresql.crash()
    postgresql.start_again()

    again = note("again", unique_key=KEY)

    rqworker(jobqueue=IMPATIENT)
    _assert_done_in_one_run(again, workload, "again")
    assert workload.effects() == {"again": 1}


@pytest.mark.parametrize("delay", [None, 1.0], ids=["due", "delayed"])
def test_a_job_that_was_cancelled_right_before_never_runs(
    delay: float | None, postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    job = note(NAME, delay=delay)
    postgresql.stop_writing_ahead()
    cancel(job)

    _crash(postgresql)

    rqworker(*ONE_JOB, jobqueue=IMPATIENT)
    # It has its turn after the one that was cancelled would have had its own.
    note("later", delay=delay)
    workload.wait_for_effects(1)
    job.refresh_from_db()
    assert (job.state, workload.effects()) == ("cancelled", {"later": 1})


# Publish, unpublish -----------------------------------------------------------------------------------


def test_a_job_whose_message_came_before_its_time_right_before_runs_once_when_it_is_due(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=QUIET)
    postgresql.stop_writing_ahead()
    with transaction.atomic():
        job = note(NAME)
        Job.objects.filter(pk=job.pk).update(run_at=Now() + timedelta(seconds=3))
    wait_until(lambda: Job.objects.filter(published_at__isnull=True).exists(), interval=0.001)

    _crash(postgresql)

    _assert_done_in_one_run(job, workload)


def test_a_job_that_the_relay_published_right_before_runs_once(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    # Its relay publishes what is due on all queues.
    rqworker(queues=("email",), jobqueue=IMPATIENT)
    job = note(NAME, queue="settlement", delay=3600)
    postgresql.stop_writing_ahead()
    job.run_now()
    wait_until(lambda: Job.objects.filter(published_at__isnull=False).exists(), interval=0.001)

    _crash(postgresql)

    rqworker(queues=("settlement",), jobqueue=IMPATIENT)
    _assert_done_in_one_run(job, workload)


# Outcome, hand-back -----------------------------------------------------------------------------------


def test_a_job_that_completed_right_before_does_not_run_again(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=IMPATIENT)
    job = _start_job(postgresql, workload)
    workload.open_gate(NAME)
    wait_until(lambda: Job.objects.filter(state="completed").exists(), interval=0.001)

    _crash(postgresql)

    _let_the_relay_go_round(workload)
    _assert_done_in_one_run(job, workload)


def test_a_job_that_was_handed_back_right_before_runs_again_and_has_used_up_no_attempt(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--shutdown-timeout", "0.3", jobqueue=QUICK)
    job = _start_job(postgresql, workload)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: Job.objects.filter(state="waiting").exists(), interval=0.001)

    _crash(postgresql)

    worker.wait()
    rqworker(jobqueue=QUICK)
    workload.wait_for_start(NAME)
    workload.open_gate(NAME)
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert (len(workload.start_times(NAME)), workload.effects()) == (2, {NAME: 1})


def test_a_job_that_could_not_be_handed_back_runs_again(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--shutdown-timeout", "0.3", jobqueue=QUICK)
    job = _start_job(postgresql, workload)
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("stopping: running jobs may finish")
    postgresql.crash()
    worker.wait()

    postgresql.start_again()

    rqworker(jobqueue=QUICK)
    workload.wait_for_start(NAME)
    workload.open_gate(NAME)
    wait_until_done()
    job.refresh_from_db()
    assert job.state == "completed"
    assert (len(workload.start_times(NAME)), workload.effects()) == (2, {NAME: 1})


# All at once ------------------------------------------------------------------------------------------


def test_a_crash_under_load_loses_and_doubles_nothing(
    postgresql: CrashingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=IMPATIENT)
    postgresql.stop_writing_ahead()
    names = [f"load-{number}" for number in range(LOAD)]
    # Ten have written their unique row, and their transaction is open. Each of the others writes one and
    # enqueues, in the same transaction, a job that has an effect.
    held, quick = names[:10], names[10:]
    enqueue_many(("workload.write", {"name": name}) for name in held)
    for name in held:
        workload.wait_for_start(name)
    enqueue_many(("workload.chain", {"name": name}) for name in quick)
    workload.wait_for_effects(3)

    _crash(postgresql)

    for name in held * 2:
        workload.open_gate(name)
    wait_until_done()
    assert workload.effects() == Counter(f"{name}-next" for name in quick)
    assert Group.objects.filter(name__in=names).count() == LOAD
    assert Job.objects.filter(state="completed").count() == LOAD + len(quick)
