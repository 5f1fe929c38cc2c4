"""PostgreSQL's clock steps by a minute: no live job is taken, a dead worker is found, what is due stays due.

On a server of its own. Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from jobqueue.sql.clock import database_now
from tests.conftest import StartWorker, wait_until
from tests.faults.crashes import running
from tests.faults.stepping_clock import SteppingPostgreSQL
from tests.faults.steps import ONE_JOB, QUICK, last_for
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.xdist_group("PostgreSQL with a clock")  # they share what takes long to make

MINUTE = 60
each_direction = pytest.mark.parametrize("step", [MINUTE, -MINUTE])


@pytest.fixture(scope="module")
def _server() -> Iterator[SteppingPostgreSQL]:
    with running(SteppingPostgreSQL) as server:
        yield server


@pytest.fixture
def postgresql(_server: SteppingPostgreSQL, transactional_db: None) -> Iterator[SteppingPostgreSQL]:
    """The PostgreSQL that this test and its workers work on."""
    _server.step_to(0)
    _server.renew()
    with _server.as_the_database():
        yield _server


def _heartbeats() -> dict[object, datetime]:
    return dict(Worker.objects.values_list("pk", "heartbeat_at"))


def _wait_for_beats(count: int) -> None:
    """Return once every worker has given so many signs of life more."""
    for _ in range(count):
        before = _heartbeats()
        wait_until(lambda before=before: all(_heartbeats()[pk] != beat for pk, beat in before.items()))


def _assert_done_in_one_run(job: Job, workload: Workload) -> None:
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert workload.effects()["slow"] == len(workload.start_times("slow")) == 1


def test_the_clock_really_steps(postgresql: SteppingPostgreSQL) -> None:
    for offset in (MINUTE, -MINUTE):
        postgresql.step_to(offset)
        assert database_now("default").timestamp() - time.time() == pytest.approx(offset, abs=2)


@each_direction
def test_a_live_job_is_not_taken_from_its_worker(
    step: int, postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    for _ in range(2):
        rqworker(*ONE_JOB, jobqueue=QUICK)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    _wait_for_beats(2)

    postgresql.step_by(step)
    _wait_for_beats(6)  # more than the time that makes a silent worker count as gone
    workload.open_gate("slow")

    _assert_done_in_one_run(job, workload)


@each_direction
def test_a_live_job_is_not_taken_by_a_worker_that_starts_after_the_step(
    step: int, postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB, jobqueue=QUICK)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    postgresql.step_by(step)
    rqworker(*ONE_JOB, jobqueue=QUICK)
    _wait_for_beats(6)
    workload.open_gate("slow")

    _assert_done_in_one_run(job, workload)


@each_direction
def test_the_job_of_a_worker_that_dies_after_the_step_runs_again_in_time(
    step: int, postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    doomed = rqworker(*ONE_JOB, jobqueue=QUICK)
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    rqworker(*ONE_JOB, jobqueue=QUICK)

    postgresql.step_by(step)
    doomed.kill()

    # WORKER_SILENCE, a look each heartbeat, and the wait before a first retry.
    workload.wait_for_start("slow", timeout=8)
    workload.open_gate("slow")
    wait_until_done()
    assert workload.effects() == {"slow": 1}


@each_direction
def test_the_job_of_a_worker_that_died_before_the_step_runs_again_with_one_that_starts_then(
    step: int, postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    doomed = rqworker(*ONE_JOB, jobqueue=QUICK)
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    doomed.kill()

    postgresql.step_by(step)
    rqworker(*ONE_JOB, jobqueue=QUICK)

    workload.wait_for_start("slow", timeout=8)
    workload.open_gate("slow")
    wait_until_done()
    assert workload.effects() == {"slow": 1}


def test_a_clock_that_steps_to_and_fro_under_load_loses_and_doubles_nothing(
    postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    for _ in range(2):
        rqworker("--processes", "1", jobqueue=QUICK)
    slow = enqueue("workload.wait", name="slow")
    names = []
    for number in range(8):
        names += note_jobs(40, prefix=f"round-{number}")
        postgresql.step_by(MINUTE if number % 2 else -MINUTE)
        last_for(0.5)
    workload.open_gate("slow")

    _assert_done_in_one_run(slow, workload)
    assert workload.effects() == Counter([*names, "slow"])
    assert set(Job.objects.values_list("attempt", "failures")) == {(1, 0)}


def test_what_was_enqueued_before_the_clock_stepped_back_does_not_wait_until_it_is_there_again(
    postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(20)

    postgresql.step_by(-MINUTE)
    rqworker(jobqueue=QUICK)

    assert workload.wait_for_effects(20, timeout=10) == Counter(names)


def test_what_was_made_due_before_the_clock_stepped_back_does_not_wait_until_it_is_there_again(
    postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB, queues=("email",), jobqueue=QUICK)  # its relay leads
    jobs = [note(f"job-{number}", "settlement", delay=3600) for number in range(10)]
    note("the relay is awake")
    workload.wait_for_effects(1)
    last_for(2)
    for job in jobs:
        job.run_now()

    postgresql.step_by(-MINUTE)
    rqworker(*ONE_JOB, queues=("settlement",), jobqueue=QUICK)

    workload.wait_for_effects(11, timeout=10)


def test_a_delayed_job_is_due_by_the_databases_clock(
    postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=QUICK)
    job = note("in half a minute", delay=30)
    last_for(1)
    assert not workload.effects()

    postgresql.step_by(MINUTE)

    workload.wait_for_effects(1, timeout=5)
    wait_until_done()
    job.refresh_from_db()
    assert job.started_at is not None and job.started_at >= job.run_at


@each_direction
def test_retries_come_after_a_step_as_before(
    step: int, postgresql: SteppingPostgreSQL, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=QUICK)
    note("before")
    workload.wait_for_effects(1)
    postgresql.step_by(step)

    job = enqueue("workload.fail_fast", name="unlucky")

    wait_until_done(10)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("failed", 4)
