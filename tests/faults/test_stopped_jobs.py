"""The stop of a running job, with real workers: one end and no further run, whatever is done meanwhile."""

from __future__ import annotations

import pytest

from jobqueue.delivery import orders
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import ONE_JOB, QUICK, executor_of
from tests.workload.children import marked
from tests.workload.fixtures import Workload, note, wait_until_done

REASON = "stopped by anna: wrong amount"


def _started(processor: str, name: str, workload: Workload, **payload: str) -> Job:
    job = enqueue(processor, name=name, **payload)
    workload.wait_for_start(name)
    job.refresh_from_db()
    return job


def _stop(job: Job) -> None:
    orders.stop_job(job, who="anna", why="wrong amount")


def _assert_stopped(job: Job, workload: Workload) -> None:
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.reason, job.attempt, job.failures) == ("cancelled", REASON, 1, 0)
    assert not workload.effects()


@pytest.mark.parametrize(
    "processor", ["workload.loop_for_long", "workload.sleep_in_loop", "workload.fail_when_stopped"]
)
def test_a_job_that_is_stopped_is_cancelled_and_its_process_goes_on(
    processor: str, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB)
    executors = [child.pid for child in worker.children()]
    job = _started(processor, "stopped", workload)

    _stop(job)
    _assert_stopped(job, workload)

    assert [child.pid for child in worker.children()] == executors
    note("after")
    assert workload.wait_for_effects(1) == {"after": 1}


@pytest.mark.parametrize("how", ["run", "session"])
def test_the_processes_of_a_stopped_job_end(how: str, rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB)
    job = _started("workload.long_command", f"stop-{how}", workload, how=how)
    wait_until(lambda: marked(f"stop-{how}"))

    _stop(job)
    _assert_stopped(job, workload)

    wait_until(lambda: not marked(f"stop-{how}"))


@pytest.mark.parametrize("processor", ["workload.block_for_long", "workload.ignore_everything_for_long"])
def test_a_job_that_does_not_yield_ends_with_its_process_after_the_grace(
    processor: str, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB, jobqueue={"TIMEOUT_GRACE": 0.5})
    job = _started(processor, "deaf", workload)

    _stop(job)
    _assert_stopped(job, workload)

    assert job.attempts.get().message == "was asked to stop and did not yield, so its process was ended"
    note("after")
    assert workload.wait_for_effects(1) == {"after": 1}


def test_a_job_whose_executor_is_killed_between_ask_and_stop_does_not_run_again(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB)
    job = _started("workload.block_for_long", "killed", workload)

    _stop(job)
    executor_of(job, worker).kill()

    _assert_stopped(job, workload)
    assert len(workload.start_times("killed")) <= 1


def test_a_job_whose_worker_is_killed_between_ask_and_stop_is_cancelled_by_the_rescue(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB, jobqueue=QUICK)
    job = _started("workload.block_for_long", "lost", workload)
    _stop(job)
    worker.kill()

    rqworker(*ONE_JOB, jobqueue=QUICK)
    _assert_stopped(job, workload)


def test_a_job_that_ends_while_its_stop_is_on_the_way_runs_once_and_is_completed_only_with_its_effect(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB)
    job = _started("workload.hold_for_long", "complete", workload, seconds=1.0)  # type: ignore[arg-type]

    _stop(job)
    wait_until_done()

    job.refresh_from_db()
    ended = (job.state, workload.effects()["complete"])
    # The stop may reach it between its effect and its end: then it is cancelled, and had its effect.
    assert ended in {("completed", 1), ("cancelled", 0), ("cancelled", 1)}


def test_stops_at_the_moment_of_completion_make_one_outcome_each(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", "--threads", "4")
    jobs = [_started("workload.wait", f"race-{number}", workload) for number in range(4)]
    for number, job in enumerate(jobs):
        workload.open_gate(f"race-{number}")
        try:
            _stop(job)
        except JobTransitionRefused as error:
            assert "completed" in str(error)
    wait_until_done()

    for number, job in enumerate(jobs):
        job.refresh_from_db()
        assert job.state in ("completed", "cancelled")
        if job.state == "completed":
            assert workload.effects()[f"race-{number}"] == 1


def test_a_job_of_a_worker_that_takes_no_orders_is_not_stopped(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB)
    job = _started("workload.wait", "old", workload)
    Worker.objects.update(takes_orders=False)

    with pytest.raises(JobTransitionRefused, match="older version"):
        _stop(job)

    workload.open_gate("old")
    wait_until_done()
    job.refresh_from_db()
    assert job.state == "completed"


def test_a_quiet_worker_claims_nothing_until_it_is_resumed(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB)
    job = _started("workload.wait", "running", workload)
    assert orders.quiet(Worker.objects.get())
    workload.open_gate("running")
    wait_until_done()
    waiting = note("waits")
    job = Job.objects.get(pk=waiting.pk)

    assert orders.quiet(Worker.objects.get()) == []
    wait_until(lambda: Worker.objects.get().quiet_asked_at)
    assert job.state == "waiting"
    assert orders.resume(Worker.objects.get())
    workload.wait_for_effects(2)


def test_a_worker_that_is_stopped_by_its_row_ends_in_order(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "2")

    assert len(orders.stop(Worker.objects.all()[0])) == 2

    assert worker.wait() == 0
    assert not Worker.objects.exists()
