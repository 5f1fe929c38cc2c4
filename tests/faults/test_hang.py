"""Workers that hang at one step between Redis and the job, and are killed there: the jobs run elsewhere."""

from __future__ import annotations

import time

import psutil

from jobqueue.models import Attempt, Job
from tests.conftest import StartWorker
from tests.faults.steps import QUEUES
from tests.workload.fixtures import Workload, note_jobs, wait_until_done

TAKEN_FROM_REDIS = "jobqueue.models.transitions.claim:before"
CLAIMED = "jobqueue.models.transitions.claim:after"


def test_jobs_taken_from_redis_by_a_worker_that_is_lost_then_are_done_within_60_seconds(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(len(QUEUES))
    hanging = rqworker("--processes", "1", WORKLOAD_HANG_AT=TAKEN_FROM_REDIS)
    workload.wait_for_hang()
    assert not Job.objects.active().exists()

    begin = time.monotonic()
    hanging.kill()
    rqworker()
    wait_until_done(60)

    assert time.monotonic() - begin <= 60
    assert workload.effects() == dict.fromkeys(names, 1)
    # Nobody knew of a claim: it uses up no attempt.
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}


def test_jobs_taken_from_redis_by_an_executor_that_is_killed_then_are_published_anew_at_once(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(len(QUEUES))
    rqworker("--processes", "1", WORKLOAD_HANG_AT=TAKEN_FROM_REDIS)
    executor = psutil.Process(workload.wait_for_hang())

    executor.kill()
    workload.end_hang()
    workload.wait_for_effects(len(QUEUES), timeout=5)  # they would count as lost after 15 s
    wait_until_done()

    assert workload.effects() == dict.fromkeys(names, 1)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}


def test_jobs_claimed_by_a_worker_that_is_lost_before_it_starts_them_are_done_within_60_seconds(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(len(QUEUES))
    hanging = rqworker("--processes", "1", WORKLOAD_HANG_AT=CLAIMED)
    workload.wait_for_hang()
    assert Job.objects.active().count() == len(QUEUES)

    begin = time.monotonic()
    hanging.kill()
    rqworker()
    wait_until_done(60)

    assert time.monotonic() - begin <= 60
    assert workload.effects() == dict.fromkeys(names, 1)


def test_jobs_claimed_by_an_executor_that_is_killed_before_it_starts_them_keep_their_attempt(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(len(QUEUES))
    rqworker("--processes", "1", WORKLOAD_HANG_AT=CLAIMED)
    executor = psutil.Process(workload.wait_for_hang())

    executor.kill()
    workload.end_hang()
    workload.wait_for_effects(len(QUEUES), timeout=5)
    wait_until_done()

    assert workload.effects() == dict.fromkeys(names, 1)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
    assert not Attempt.objects.exists()


def test_jobs_of_a_worker_that_hangs_but_lives_are_done_by_another(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(len(QUEUES))
    rqworker("--processes", "1", WORKLOAD_HANG_AT=TAKEN_FROM_REDIS, jobqueue={"LOST_AFTER": 2})
    workload.wait_for_hang()

    rqworker(jobqueue={"LOST_AFTER": 2})
    wait_until_done()
    workload.end_hang()  # what it claims now is stale

    wait_until_done()
    assert workload.effects() == dict.fromkeys(names, 1)
