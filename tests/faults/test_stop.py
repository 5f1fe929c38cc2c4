"""SIGTERM and SIGINT: running jobs finish or go back, nothing is lost or doubled, the exit code is 0."""

from __future__ import annotations

import signal
import time
from collections import Counter

import psutil
import pytest
import redis

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import ONE_JOB, started_entries, stop_at_a_random_moment
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done


def test_an_idle_worker_stops_at_once(rqworker: StartWorker) -> None:
    worker = rqworker()
    begin = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - begin < 5


def test_a_stopped_worker_leaves_no_row(rqworker: StartWorker) -> None:
    rqworker().stop()

    assert not Worker.objects.exists()


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT] * 2, [signal.SIGTERM] * 5],
    ids=["SIGTERM", "SIGTERM twice", "SIGINT twice", "SIGTERM five times"],
)
def test_a_running_job_may_finish(
    signals: list[int], rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker()
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    for number in signals:
        worker.signal(number)
    worker.wait_for_line("stopping: running jobs may finish")
    workload.open_gate("slow")

    assert worker.wait() == 0
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"slow": 1}
    assert started_entries(redis_client) == 0


def test_while_the_last_jobs_finish_it_says_that_it_stops(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1")
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    before = Worker.objects.get().is_stopping

    worker.signal(signal.SIGTERM)

    wait_until(lambda: Worker.objects.get().is_stopping)
    workload.open_gate("slow")
    assert (before, worker.wait()) == (False, 0)


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT] * 2, [signal.SIGTERM] * 5],
    ids=["SIGTERM", "SIGTERM twice", "SIGINT twice", "SIGTERM five times"],
)
def test_a_job_longer_than_the_shutdown_timeout_is_handed_back(
    signals: list[int], rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--shutdown-timeout", "1")
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    begin = time.monotonic()
    for number in signals:
        worker.signal(number)
    code = worker.wait()
    took = time.monotonic() - begin

    job.refresh_from_db()
    assert code == 0
    assert took < 5
    assert (job.state, job.attempt, job.failures, job.attempts.count()) == ("waiting", 1, 0, 0)
    assert started_entries(redis_client) == 0


def test_a_job_that_was_handed_back_is_finished_by_the_next_worker(
    rqworker: StartWorker, workload: Workload
) -> None:
    first = rqworker("--shutdown-timeout", "0.5")
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    first.stop()

    rqworker()
    workload.wait_for_start("slow", timeout=5)
    workload.open_gate("slow")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"slow": 1}


def test_no_job_is_started_after_the_stop(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1", "--threads", "1")
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    behind = note("behind")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("stopping: running jobs may finish within 25 s")
    workload.open_gate("slow")

    assert worker.wait() == 0
    behind.refresh_from_db()
    assert behind.state == "waiting"
    assert workload.effects() == {"slow": 1}


def test_a_job_that_ignores_everything_does_not_hold_up_the_stop(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--shutdown-timeout", "0.5")
    job = enqueue("workload.block_for_long", name="deaf")
    workload.wait_for_start("deaf")

    begin = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begin < 5
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 1)


def test_the_longest_job_is_handed_back_before_a_container_would_be_killed(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    """Orchestrators send SIGKILL 30 seconds after SIGTERM, unless they are told otherwise."""
    limits = {rqworker(*ONE_JOB, "--shutdown-timeout", "20"): 25, rqworker(*ONE_JOB): 30}
    jobs = [enqueue("workload.wait", name=name) for name in ("endless", "endless too")]
    for job in jobs:
        workload.wait_for_start(job.payload["name"])

    begin = time.monotonic()
    for worker in limits:
        worker.signal(signal.SIGTERM)
    for worker, limit in limits.items():
        assert worker.wait(begin + limit - time.monotonic()) == 0

    queued = redis_client.lrange("rq:queue:settlement", 0, -1)
    for job in jobs:
        job.refresh_from_db()
        assert (job.state, job.attempt, job.failures) == ("waiting", 1, 0)
        assert job.message_id.encode() in queued
    assert started_entries(redis_client) == 0


@pytest.mark.parametrize("round_", range(6))
def test_stops_at_random_moments_under_load_lose_and_double_nothing(
    round_: int, rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    names: list[str] = []
    for stop in range(5):
        enqueued, code = stop_at_a_random_moment(rqworker, workload, f"round-{round_}-{stop}")
        names += enqueued
        assert code == 0
        assert started_entries(redis_client) == 0
        assert not Job.objects.active().exists()

    rqworker()
    wait_until_done()

    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("completed", 1, 0)}


def test_a_rolling_deploy_loses_and_doubles_nothing(rqworker: StartWorker, workload: Workload) -> None:
    old = rqworker()
    names = note_jobs(150, prefix="before")
    new = rqworker(wait=False)
    workload.wait_for_effects(1)
    old.signal(signal.SIGTERM)
    delayed = note("delayed", "reminders", delay=2)
    names += note_jobs(150, prefix="during")

    new.wait_until_ready()
    ready_at = time.time()
    assert old.wait() == 0
    workload.wait_for_start("delayed")
    wait_until_done()

    assert workload.effects() == Counter([*names, "delayed"])
    started_at, due_at = workload.start_times("delayed")[0], delayed.run_at.timestamp()
    assert started_at - due_at <= 10
    assert started_at - max(due_at, ready_at) < 1.5


def test_a_worker_that_waits_for_redis_can_be_stopped(rqworker: StartWorker, private_redis: object) -> None:
    server = private_redis()  # type: ignore[operator]
    server.stop()
    worker = rqworker(redis=server, wait=False)
    worker.wait_for_line("waiting for Redis")

    assert worker.stop() == 0


def test_an_executor_that_is_stopped_by_a_stranger_is_replaced(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1")
    (executor,) = worker.children()
    executor.send_signal(signal.SIGTERM)
    wait_until(lambda: worker.children() not in ([], [executor]))

    note("next")

    workload.wait_for_effects(1)
    assert worker.stop() == 0


def test_nothing_runs_on_after_the_stop(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--shutdown-timeout", "0.5")
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    executors: list[psutil.Process] = worker.children()

    worker.stop()

    assert not any(executor.is_running() for executor in executors)
