"""Workers with different code on one Redis and one database, as in a deploy."""

from __future__ import annotations

import time

import psutil
from django.db.models.functions import Now

from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Attempt, Job
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.faults.steps import ONE_JOB, last_for
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

# Older code has no such processor.
OLDER = {"WORKLOAD_WITHOUT": "workload.note.email"}


def _handed_on(count: int = 1) -> bool:
    return Job.objects.filter(unfit_since__isnull=False).count() >= count


def test_a_job_that_only_the_new_code_knows_runs_there_within_seconds(
    rqworker: StartWorker, workload: Workload
) -> None:
    for _ in range(3):
        rqworker(*ONE_JOB, **OLDER)
    job = note("new")
    wait_until(_handed_on)
    last_for(5)  # by now nobody offers it for four seconds

    rqworker(*ONE_JOB)
    ready = time.monotonic()
    workload.wait_for_effects(1)

    assert time.monotonic() - ready < 4
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert not Attempt.objects.exists()


def test_beside_older_workers_each_job_has_its_effect_once(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB, **OLDER)
    rqworker(*ONE_JOB)

    names = note_jobs(150)
    wait_until_done()

    assert workload.effects() == dict.fromkeys(names, 1)
    assert not Attempt.objects.exists()
    assert not Job.objects.exclude(attempt=1).exists()


def test_a_payload_of_other_code_waits_for_that_code(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(*ONE_JOB)
    job = note("other", delay=60)
    Job.objects.update(payload={"name": "other", "currency": "EUR"}, run_at=Now())

    wait_until(_handed_on)
    job.refresh_from_db()
    said = "handed on by a worker that does not know it: workload.note.email does not take this payload"
    assert job.reason.startswith(said)
    assert not Attempt.objects.exists()

    Job.objects.update(payload={"name": "other"})  # what newer code would take
    workload.wait_for_effects(1)
    assert worker.is_running()


def test_a_job_that_no_worker_knows_fails_after_the_set_time(rqworker: StartWorker) -> None:
    worker = rqworker(*ONE_JOB, jobqueue={"UNKNOWN_PROCESSOR_TIMEOUT": 2}, **OLDER)
    started = time.monotonic()
    job = note("never")

    wait_until(lambda: Job.objects.filter(state="failed").exists())

    assert 2 <= time.monotonic() - started < 8
    job.refresh_from_db()
    assert job.attempt == 1
    assert job.reason.startswith("UnknownProcessor: no worker knew this job for 2 s")
    assert [attempt.error_class for attempt in job.attempts.all()] == ["UnknownProcessor"]
    assert worker.output.count("this worker cannot run job") == 1


def test_a_thousand_jobs_that_nobody_knows_do_not_hold_up_the_others(
    rqworker: StartWorker, workload: Workload
) -> None:
    enqueue_many(("workload.note.email", {"name": f"unknown-{number}"}) for number in range(1000))
    enqueue_many(("workload.note.reminders", {"name": f"good-{number}"}) for number in range(300))
    worker = rqworker("--processes", "1", **OLDER)
    before = _seconds_of_work(worker)

    workload.wait_for_effects(300)
    wait_until(lambda: _handed_on(1000), timeout=60)
    assert _seconds_of_work(worker) - before < 4
    assert not Attempt.objects.exists()

    last_for(2)  # the jobs are offered again, and again
    before = _seconds_of_work(worker)
    last_for(4)
    assert _seconds_of_work(worker) - before < 3


def test_a_job_that_is_handed_on_can_be_cancelled(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB, **OLDER)
    job = note("unwanted")
    wait_until(_handed_on)

    def cancelled() -> bool:
        return bool(Job.objects.filter(pk=job.pk).cancel_all())

    wait_until(cancelled)
    rqworker(*ONE_JOB)
    enqueue("workload.note.settlement", name="next")
    workload.wait_for_effects(1)
    assert workload.effects() == {"next": 1}


def _seconds_of_work(worker: WorkerProcess) -> float:
    times = [process.cpu_times() for process in (psutil.Process(worker.pid), *worker.children())]
    return sum(each.user + each.system for each in times)
