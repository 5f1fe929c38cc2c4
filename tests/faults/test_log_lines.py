"""What jobs log is kept by real workers: each attempt its own lines, and none of a run that was killed."""

from __future__ import annotations

from jobqueue.jobs import enqueue
from jobqueue.models import AttemptLog, Job
from tests.conftest import StartWorker
from tests.faults.steps import ONE_JOB, QUICK, executor_of
from tests.workload.fixtures import Workload, wait_until_done


def _lines(job: Job) -> dict[int, list[str]]:
    """What each attempt of the job has logged."""
    return {log.number: [line.message for line in log.kept.lines] for log in job.logs.all()}


def test_each_attempt_keeps_what_its_threads_and_its_loop_logged(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", "--threads", "4")
    tried = [enqueue("workload.log", name=f"job-{number}") for number in range(20)]
    looping = [enqueue("workload.log_in_loop", name=f"loop-{number}") for number in range(20)]
    wait_until_done()

    for number, job in enumerate(tried):
        in_thread = f"job-{number} from a thread"
        assert _lines(job) == {
            attempt: [f"job-{number} in attempt {attempt}", in_thread] for attempt in (1, 2)
        }
    for number, job in enumerate(looping):
        where = ("loop", "task", "thread of the loop")
        expected = [f"loop-{number} in {'the' if place == 'loop' else 'a'} {place}" for place in where]
        assert _lines(job) == {1: expected}


def test_a_run_that_was_killed_keeps_no_lines_and_the_next_one_its_own(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB, jobqueue=QUICK)
    job = enqueue("workload.log_and_wait", name="lonely")
    workload.wait_for_start("lonely")
    executor_of(job, worker).kill()
    workload.wait_for_start("lonely")
    workload.open_gate("lonely")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, _lines(job)) == ("completed", {2: ["lonely waits"]})


def test_a_run_that_cannot_be_stopped_keeps_its_lines(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB, jobqueue={"TIMEOUT_GRACE": 0.5})
    job = enqueue("workload.log_and_block", name="deaf")
    wait_until_done()

    assert _lines(job)[1] == ["deaf blocks in attempt 1"]


def test_nothing_is_kept_where_it_is_switched_off(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB, jobqueue={"LOG_LINES": 0})
    enqueue("workload.log", name="silent")
    wait_until_done()

    assert workload.effects() == {"silent": 1}
    assert not AttemptLog.objects.exists()
