"""Processes killed in the middle of a job: the job runs again, once, and soon."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import psutil
import pytest
from django.db.models.functions import Now

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job, Worker
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import QUICK, executor_of, last_for, times_until_rescued
from tests.jobqueue.reading import charted
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_job_of_a_killed_executor_runs_again_within_2_seconds(
    processes: str, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", processes)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    killed_at = time.time()
    executor_of(job, worker).kill()
    workload.wait_for_start("slow")
    workload.open_gate("slow")
    wait_until_done()

    # Its retry is due after a second, 20 % more or less.
    assert workload.start_times("slow")[1] - killed_at <= 2
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 2, 1)
    assert workload.effects() == {"slow": 1}


def test_a_killed_executor_is_in_the_jobs_history_and_in_the_charts(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--name", "worker-7", "--processes", "1")
    job = enqueue("workload.wait", name="slow")
    Job.objects.filter(pk=job.pk).update(failures=3)  # no further run
    workload.wait_for_start("slow")

    executor_of(job, worker).kill()
    wait_until(lambda: job.attempts.exists())

    attempt = job.attempts.get()
    assert (attempt.number, attempt.error_class, attempt.worker_name) == (1, "JobInterrupted", "worker-7")
    assert "ended with code -9" in attempt.message
    # The bar of a job that a kill ended for good is as high as the list is long to which it leads.
    wait_until(lambda: {group.outcome: tally.jobs for group, tally in charted().items()} == {"failed": 1})
    assert Job.objects.failed().count() == 1


def test_a_killed_executor_is_replaced_and_leaves_no_trace_in_redis(
    rqworker: StartWorker, workload: Workload, redis_client: object
) -> None:
    worker = rqworker("--processes", "1", jobqueue=QUICK)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    executor = executor_of(job, worker)

    executor.kill()
    workload.wait_for_start("slow")
    workload.open_gate("slow")
    wait_until_done()

    assert executor.pid not in [process.pid for process in worker.children()]
    wait_until(lambda: redis_client.zcard("rq:wip:settlement") == 0)  # type: ignore[attr-defined]


def test_the_other_executors_work_on_while_one_is_replaced(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "2", jobqueue={"LOST_AFTER": 2})
    names = note_jobs(100)
    worker.children()[0].kill()
    names += note_jobs(100, prefix="more")

    wait_until_done()

    effects = workload.effects()
    assert set(effects) == set(names)
    # A job that was killed between its effect and its outcome, or whose outcome was not written yet, ran
    # again: at least once is the promise. One executor was killed, and once.
    assert max(effects.values()) <= 2


def test_executors_end_when_their_supervisor_was_killed(rqworker: StartWorker) -> None:
    worker = rqworker()
    executors = worker.children()

    worker.signal(signal.SIGKILL)

    _, alive = psutil.wait_procs(executors, timeout=10)
    assert alive == []


def test_an_executor_whose_supervisor_was_killed_says_that_it_stops(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1")
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    worker.signal(signal.SIGKILL)

    wait_until(lambda: Worker.objects.get().is_stopping)
    workload.open_gate("slow")
    wait_until_done()


def test_a_job_whose_supervisor_was_killed_is_not_started_by_anybody_else(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(jobqueue=QUICK)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    executor = executor_of(job, worker)

    worker.signal(signal.SIGKILL)
    rqworker(jobqueue=QUICK)
    last_for(2 * QUICK["WORKER_SILENCE"])  # long enough for a rescue, if the job were taken for lost
    workload.open_gate("slow")
    psutil.wait_procs([executor], timeout=10)
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"slow": 1}
    assert len(workload.start_times("slow")) == 1


def test_a_job_handed_back_without_a_supervisor_runs_again(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--shutdown-timeout", "0.5")
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    worker.signal(signal.SIGKILL)
    wait_until(lambda: Job.objects.waiting().filter(pk=job.pk).exists())

    job.refresh_from_db()
    assert (job.attempt, job.failures) == (1, 0)


def test_the_jobs_of_lost_machines_are_rescued_within_30_seconds(
    rqworker: StartWorker, workload: Workload
) -> None:
    # Three at once, and with the settings that everybody has.
    took = times_until_rescued(rqworker, workload, losses=3, name="slow")

    assert max(took) <= 30
    assert workload.effects() == {"slow-0": 1, "slow-1": 1, "slow-2": 1}
    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("completed", 2, 1)}
    assert all("no sign of life" in attempt.message for attempt in Attempt.objects.all())


def test_a_worker_started_after_the_loss_rescues_too(rqworker: StartWorker, workload: Workload) -> None:
    lost = rqworker(jobqueue=QUICK)
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    lost.kill()

    rqworker(jobqueue=QUICK)

    workload.wait_for_start("slow", timeout=10)
    workload.open_gate("slow")
    wait_until_done()
    assert workload.effects() == {"slow": 1}


def test_messages_that_a_lost_worker_took_from_redis_are_published_again(
    rqworker: StartWorker, workload: Workload, redis_client: object
) -> None:
    from jobqueue.broker import queues

    note("taken")
    # The moment between Redis and the database, in which a worker is killed.
    queues.claim(["email"], 1, "0" * 32, "lost")

    rqworker(jobqueue={"LOST_AFTER": 1})

    assert workload.wait_for_effects(1, timeout=10) == {"taken": 1}


def test_a_worker_that_was_taken_for_lost_changes_nothing_when_it_comes_back(
    rqworker: StartWorker, workload: Workload
) -> None:
    asleep = rqworker("--processes", "1", jobqueue=QUICK)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    (executor,) = asleep.children()
    executor.suspend()
    rqworker(jobqueue=QUICK)
    workload.wait_for_start("slow", timeout=15)  # the rescued run
    executor.resume()

    for _ in range(2):
        workload.open_gate("slow")
    workload.wait_for_effects(2)  # both runs had their effect; one of them counts
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 2, 1)
    asleep.wait_for_line("had been taken from this worker")


def test_a_worker_may_have_the_name_of_one_that_was_killed(rqworker: StartWorker, workload: Workload) -> None:
    rqworker("--name", "worker-7", jobqueue=QUICK).kill()

    rqworker("--name", "worker-7", jobqueue=QUICK)

    note("next")
    workload.wait_for_effects(1)


def test_a_worker_may_not_have_the_name_of_one_that_lives(rqworker: StartWorker) -> None:
    rqworker("--name", "worker-7", jobqueue=QUICK)

    second = rqworker("--name", "worker-7", jobqueue=QUICK, wait=False)

    assert second.wait() == 1
    assert "There exists an active worker named 'worker-7' already" in second.output


def test_rows_of_lost_workers_are_not_kept_for_ever_as_alive(rqworker: StartWorker) -> None:
    lost = rqworker("--processes", "1", jobqueue=QUICK)
    row = Worker.objects.get()
    lost.kill()

    rqworker(jobqueue=QUICK)

    silent = Worker.objects.filter(pk=row.pk, heartbeat_at__lt=Now() - timedelta(seconds=2))
    wait_until(silent.exists)


def test_a_worker_that_waits_for_its_name_can_be_stopped(rqworker: StartWorker) -> None:
    rqworker("--name", "worker-7")
    second = rqworker("--name", "worker-7", wait=False)
    second.wait_for_line("waiting: there is a worker named worker-7")

    assert second.stop() == 0
