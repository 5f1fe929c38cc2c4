"""Jobs that take their process down, hang, or fail in unheard-of ways: they end failed, others go on."""

from __future__ import annotations

import time

import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job
from tests.conftest import StartWorker
from tests.workload.conditions import MEMORY_LIMIT
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

SHORT_GRACE = {"TIMEOUT_GRACE": 0.5}


def errors_of(job: Job) -> list[str]:
    """The error classes of its failed attempts, in their order."""
    return list(job.attempts.values_list("error_class", flat=True))


def test_a_job_that_ends_its_process_ends_failed(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()

    job = enqueue("workload.end_process", name="bomb")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert errors_of(job) == ["JobInterrupted", "JobInterrupted"]
    assert "ended with code 9" in job.attempts.all()[0].message


def test_others_go_on_beside_jobs_that_end_their_process(rqworker: StartWorker, workload: Workload) -> None:
    # What an executor had taken from Redis and not claimed when it was ended is missed for so long.
    rqworker(jobqueue={"LOST_AFTER": 2})
    for number in range(6):  # more than the executors that may die at their start
        enqueue("workload.end_process", name=f"bomb-{number}")
    names = note_jobs(60)

    wait_until_done()

    assert set(workload.effects()) == set(names)
    assert Job.objects.filter(processor="workload.end_process", state="failed").count() == 6
    assert not Job.objects.filter(processor__startswith="workload.note").exclude(state="completed").exists()


def test_a_job_that_had_not_started_when_its_process_ended_keeps_its_attempt(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", "--threads", "1")
    names = note_jobs(60, prefix="before")
    enqueue("workload.end_process", name="bomb")
    names += note_jobs(60, prefix="behind")

    wait_until_done()

    assert set(workload.effects()) == set(names)
    notes = Job.objects.filter(processor__startswith="workload.note")
    assert set(notes.values_list("state", "failures")) == {("completed", 0)}


def test_a_job_past_its_time_limit_is_interrupted(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1")
    executors = worker.children()

    job = enqueue("workload.loop", name="endless")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert errors_of(job) == ["JobTimeout", "JobTimeout"]
    assert "longer than its limit of 0.5 seconds" in job.reason
    assert worker.children() == executors


def test_a_job_blocked_in_c_past_its_limit_ends_failed(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(jobqueue=SHORT_GRACE)

    job = enqueue("workload.block", name="deaf")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert errors_of(job) == ["JobInterrupted", "JobInterrupted"]
    assert "ran past its time limit and could not be stopped" in job.reason


def test_a_job_that_stops_all_threads_of_its_process_ends_failed(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", jobqueue=SHORT_GRACE)

    job = enqueue("workload.hold", name="greedy", seconds=120)
    workload.wait_for_start("greedy")
    names = note_jobs(20)
    wait_until_done(40)

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert "ran past its time limit and could not be stopped" in job.reason
    # A job that had its effect beside the greedy one, and could not be written down any more, runs again.
    assert set(workload.effects()) == set(names)


def test_a_job_that_stops_all_threads_of_its_process_for_a_while_is_not_taken_for_lost(
    rqworker: StartWorker, workload: Workload
) -> None:
    quick = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 3}
    rqworker("--processes", "1", jobqueue=quick)
    rqworker("--processes", "1", jobqueue=quick)

    job = enqueue("workload.hold_for_long", name="greedy", seconds=8)
    wait_until_done(40)

    job.refresh_from_db()
    assert (job.state, job.attempt, len(workload.start_times("greedy"))) == ("completed", 1, 1)
    assert workload.effects() == {"greedy": 1}


def test_a_job_that_shared_the_process_with_a_blocked_one_keeps_its_attempt(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", jobqueue=SHORT_GRACE)
    innocent = enqueue("workload.wait", name="innocent")
    workload.wait_for_start("innocent")
    enqueue("workload.block", name="deaf")
    workload.wait_for_start("deaf")

    workload.wait_for_start("innocent")  # again: its process had to end
    workload.open_gate("innocent")
    workload.wait_for_effects(1)
    Job.objects.filter(processor="workload.block").delete()
    wait_until_done()

    innocent.refresh_from_db()
    assert innocent.state == "completed"
    assert (innocent.attempt, innocent.failures) == (1, 0)


def test_others_go_on_beside_a_blocked_job(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(jobqueue=SHORT_GRACE)
    enqueue("workload.block", name="deaf")
    workload.wait_for_start("deaf")

    names = note_jobs(30)
    workload.wait_for_effects(30, timeout=5)
    wait_until_done()

    assert workload.effects() == dict.fromkeys(names, 1)


def test_a_job_that_ignores_every_signal_and_exception_ends_failed(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(jobqueue=SHORT_GRACE)

    job = enqueue("workload.ignore_everything", name="deaf")
    names = note_jobs(30)
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert errors_of(job) == ["JobInterrupted", "JobInterrupted"]
    assert workload.effects() == dict.fromkeys(names, 1)
    assert worker.stop() == 0


def test_a_job_that_ignores_every_signal_and_exception_does_not_hold_up_a_stop(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--shutdown-timeout", "0.5")
    job = enqueue("workload.ignore_everything_for_long", name="deaf")
    workload.wait_for_start("deaf")
    executors = worker.children()

    begin = time.monotonic()
    assert worker.stop() == 0

    assert time.monotonic() - begin < 12
    assert not any(executor.is_running() for executor in executors)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 1)


@pytest.mark.parametrize("pieces", [1, 2048], ids=["at once", "bit by bit"])
def test_a_job_that_takes_more_memory_than_there_is_ends_failed_and_others_go_on(
    pieces: int, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--threads", "4", **{MEMORY_LIMIT: str(2 * 1024**3)})

    job = enqueue("workload.allocate", name="greedy", pieces=pieces)
    names = note_jobs(60)
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert set(errors_of(job)) <= {"MemoryError", "JobInterrupted"}
    assert set(workload.effects()) == set(names)
    assert not Job.objects.exclude(pk=job.pk).exclude(state="completed").exists()
    assert worker.stop() == 0


def test_an_error_that_cannot_be_printed_is_recorded(rqworker: StartWorker, workload: Workload) -> None:
    rqworker("--processes", "1", "--threads", "1")

    job = enqueue("workload.fail_unspeakably", name="unspeakable")
    note("next")
    wait_until_done()

    job.refresh_from_db()
    assert job.state == "failed"
    assert errors_of(job) == ["Unspeakable", "Unspeakable"]
    assert workload.effects() == {"next": 1}


@pytest.mark.parametrize("how", ["open transaction", "no autocommit", "closed connection"])
def test_a_job_that_leaves_its_connection_in_a_mess_does_not_harm_the_next(
    how: str, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", "--threads", "1")

    enqueue("workload.leave_mess", name="careless", how=how)
    after = enqueue("workload.write", name="after")
    workload.open_gate("after")
    wait_until_done()

    after.refresh_from_db()
    assert (after.state, after.failures) == ("completed", 0)


def test_an_outcome_that_the_database_refuses_does_not_hold_up_the_others(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1")
    job = enqueue("workload.fail", name="unlucky", delay=0.5)
    Attempt.objects.create(job=job, number=1)  # its place is taken

    note("next", delay=0.5)
    wait_until_done()

    job.refresh_from_db()
    assert job.state == "failed"
    assert "was refused by the database" in job.reason
    assert workload.effects() == {"next": 1}


def test_a_job_whose_processor_nobody_knows_ends_failed_after_its_time(
    rqworker: StartWorker, workload: Workload
) -> None:
    job = note("renamed")
    Job.objects.filter(pk=job.pk).update(processor="workload.gone", attempt=1, failures=3)

    rqworker(jobqueue={"UNKNOWN_PROCESSOR_TIMEOUT": 1})
    wait_until_done()

    job.refresh_from_db()
    assert job.state == "failed"
    assert "no processor 'workload.gone'" in job.reason
