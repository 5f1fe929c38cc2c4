"""Rate and concurrency limits of queues hold over all workers together, on real processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import pytest
import redis

from jobqueue.broker import connections
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, Queue
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

# A decision of an operator is in force within a second.
IN_FORCE = 1.0
# What a busy machine adds to that.
SLACK = 1.0


def note_limited(count: int, prefix: str = "limited", **options: float) -> list[str]:
    """Enqueue so many jobs on the queue email; their names."""
    names = [f"{prefix}-{number}" for number in range(count)]
    if options:
        for name in names:
            note(name, **options)
    else:
        enqueue_many(("workload.note.email", {"name": name}) for name in names)
    return names


def gate_jobs(*names: str) -> list[Job]:
    """Enqueue jobs on the queue settlement that run until their gate opens."""
    return [enqueue("workload.wait", name=name) for name in names]


def starts_of(workload: Workload, names: Iterable[str]) -> list[float]:
    """When the jobs of these names started, in order."""
    return sorted(moment for name in names for moment in workload.start_times(name))


def most_within_a_second(starts: Sequence[float]) -> int:
    """The most starts in any window of one second."""
    return max(sum(first <= start < first + 1.0 for start in starts) for first in starts)


def most_at_once(jobs: Iterable[Job]) -> int:
    """The most of these jobs that were active at the same time, by their rows."""
    runs = [(job.started_at, job.finished_at) for job in jobs]
    return max(sum(start <= moment < end for start, end in runs) for moment, _end in runs)  # type: ignore[operator]


def limit(queue: str, **limits: int | None) -> None:
    """Decide about a queue as an operator does."""
    Queue.objects.update_or_create(name=queue, defaults=limits)


def start_two(rqworker: StartWorker, *arguments: str, **options: object) -> None:
    """Two workers of one process each."""
    workers = [
        rqworker("--processes", "1", *arguments, wait=False, **options)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    for worker in workers:
        worker.wait_until_ready()


# Rate ---------------------------------------------------------------------------------------------


def test_two_workers_together_start_no_more_than_the_rate_in_any_second_and_nearly_as_many(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("email", rate_limit=10)
    start_two(rqworker)

    names = note_limited(25)
    wait_until_done()

    starts = starts_of(workload, names)
    assert len(starts) == 25
    assert most_within_a_second(starts) <= 10
    assert 20 / (starts[20] - starts[0]) >= 8


def test_a_limited_queue_does_not_hold_up_the_others(rqworker: StartWorker, workload: Workload) -> None:
    limit("email", rate_limit=1)
    start_two(rqworker, "--threads", "2")
    note_limited(20)

    others = [note(f"free-{number}", "reminders") for number in range(20)]
    wait_until(lambda: not Job.objects.filter(queue="reminders").unfinished().exists(), timeout=5)

    last = max(starts_of(workload, [f"free-{number}" for number in range(20)]))
    assert last - others[0].created_at.timestamp() < 1 + SLACK
    assert Job.objects.filter(queue="email").waiting().count() >= 15


def test_a_rate_that_is_set_is_in_force_within_a_second(rqworker: StartWorker, workload: Workload) -> None:
    start_two(rqworker)

    limit("email", rate_limit=3)
    names = note_limited(8, delay=IN_FORCE)
    wait_until_done()

    assert most_within_a_second(starts_of(workload, names)) <= 3


def test_a_rate_that_is_lowered_is_in_force_within_a_second(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("email", rate_limit=100)
    start_two(rqworker)
    note("before")
    workload.wait_for_effects(1)

    limit("email", rate_limit=3)
    names = note_limited(8, delay=IN_FORCE)
    wait_until_done()

    assert most_within_a_second(starts_of(workload, names)) <= 3


@pytest.mark.parametrize("rate", [100, None], ids=["raised", "removed"])
def test_a_rate_that_is_raised_or_removed_is_in_force_within_a_second(
    rate: int | None, rqworker: StartWorker, workload: Workload
) -> None:
    limit("email", rate_limit=1)
    start_two(rqworker)
    names = note_limited(30)
    workload.wait_for_effects(1)

    limit("email", rate_limit=rate)
    changed = time.time()
    wait_until_done()

    assert max(starts_of(workload, names)) - changed < IN_FORCE + SLACK


def test_the_rate_holds_over_the_restart_of_a_worker(rqworker: StartWorker, workload: Workload) -> None:
    limit("email", rate_limit=5)
    first = rqworker("--processes", "1")
    names = note_limited(15)
    workload.wait_for_effects(5)
    second = rqworker("--processes", "1", wait=False)

    assert first.stop() == 0
    second.wait_until_ready()
    wait_until_done()

    assert most_within_a_second(starts_of(workload, names)) <= 5
    assert len(starts_of(workload, names)) == 15


@pytest.mark.parametrize("loss", ["flush", "restart"])
def test_the_rate_holds_when_redis_loses_everything(
    loss: str, rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    limit("email", rate_limit=5)
    start_two(rqworker, redis=queue_redis, jobqueue={"LOST_AFTER": 0.5})
    names = note_limited(20)
    workload.wait_for_effects(5)

    if loss == "flush":
        connections.client_for("email").flushall()
    else:
        queue_redis.stop()
        queue_redis.start()
    wait_until_done(40)

    assert most_within_a_second(starts_of(workload, names)) <= 5
    assert workload.effects() == dict.fromkeys(names, 1)


def test_burst_runs_all_jobs_of_a_queue_with_a_rate(rqworker: StartWorker, workload: Workload) -> None:
    limit("email", rate_limit=5)
    names = note_limited(12)

    worker = rqworker("--burst", wait=False)

    assert worker.wait() == 0
    assert workload.effects() == dict.fromkeys(names, 1)
    assert most_within_a_second(starts_of(workload, names)) <= 5


# Concurrency --------------------------------------------------------------------------------------


def test_two_workers_together_run_no_more_jobs_at_once_than_the_limit(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("settlement", concurrency_limit=2)
    start_two(rqworker, "--threads", "4")

    names = [f"gate-{number}" for number in range(8)]
    jobs = gate_jobs(*names)
    for number, name in enumerate(names):
        workload.wait_for_start(name)
        assert Job.objects.active().count() <= 2
        if number:
            workload.open_gate(names[number - 1])
    workload.open_gate(names[-1])
    wait_until_done()

    assert most_at_once(Job.objects.filter(pk__in=[job.pk for job in jobs])) == 2
    assert workload.effects() == dict.fromkeys(names, 1)


def test_short_jobs_under_load_keep_to_the_concurrency_limit(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("email", concurrency_limit=3)
    start_two(rqworker)

    names = note_limited(150)
    wait_until_done(40)

    assert most_at_once(Job.objects.filter(queue="email")) <= 3
    assert workload.effects() == dict.fromkeys(names, 1)


def test_the_next_job_starts_as_soon_as_one_ends(rqworker: StartWorker, workload: Workload) -> None:
    limit("settlement", concurrency_limit=1)
    start_two(rqworker)
    names = [f"gate-{number}" for number in range(6)]
    gate_jobs(*names)
    workload.wait_for_start(names[0])

    waits = []
    for name, following in zip(names, names[1:], strict=False):
        opened = time.time()
        workload.open_gate(name)
        workload.wait_for_start(following)
        waits.append(workload.start_times(following)[0] - opened)
    workload.open_gate(names[-1])
    wait_until_done()

    assert max(waits) < 0.5


def test_a_concurrency_limit_that_is_removed_is_in_force_within_a_second(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("settlement", concurrency_limit=1)
    start_two(rqworker)
    names = [f"gate-{number}" for number in range(4)]
    gate_jobs(*names)
    workload.wait_for_start(names[0])

    limit("settlement", concurrency_limit=None)
    changed = time.time()
    for name in names[1:]:
        workload.wait_for_start(name, timeout=5)

    assert max(starts_of(workload, names)) - changed < IN_FORCE + SLACK
    for name in names:
        workload.open_gate(name)
    wait_until_done()


def test_the_concurrency_limit_counts_running_jobs_that_redis_forgot(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    limit("settlement", concurrency_limit=2)
    start_two(rqworker, redis=queue_redis, jobqueue={"LOST_AFTER": 0.5})
    names = [f"gate-{number}" for number in range(5)]
    jobs = gate_jobs(*names)
    for name in names[:2]:
        workload.wait_for_start(name)

    connections.client_for("settlement").flushall()
    # After this one everything that was lost has been published again.
    note("marker", delay=3)
    workload.wait_for_start("marker")
    running = Job.objects.filter(queue="settlement").active().count()
    opened = time.time()
    workload.open_gate(names[0])
    workload.wait_for_start(names[2])

    assert running == 2
    assert workload.start_times(names[2])[0] - opened < 0.5
    for name in names[1:]:
        workload.open_gate(name)
    wait_until_done()
    assert most_at_once(Job.objects.filter(pk__in=[job.pk for job in jobs])) == 2
    assert workload.effects() == dict.fromkeys([*names, "marker"], 1)


def test_what_the_rows_hold_back_stays_in_its_queue(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    limit("settlement", concurrency_limit=1)
    rqworker("--processes", "1", redis=queue_redis)
    gate_jobs("running")
    workload.wait_for_start("running")
    client = connections.client_for("settlement")
    client.flushall()

    jobs = gate_jobs("first", "second", "third")
    note("marker", delay=1.5)
    workload.wait_for_start("marker")

    # Neither dropped nor published again and again: each stands there once, in order.
    wait_until(
        lambda: (
            [message.decode() for message in client.lrange("rq:queue:settlement", 0, -1)]
            == [job.message_id for job in jobs]
        )
    )
    assert not Job.objects.waiting().filter(published_at__isnull=True).exists()
    for name in ("running", "first", "second", "third"):
        workload.open_gate(name)
    wait_until_done()


def test_a_pause_and_a_limit_hold_together(rqworker: StartWorker, workload: Workload) -> None:
    limit("settlement", concurrency_limit=1, paused=True)
    start_two(rqworker)
    names = ["first", "second", "third"]
    gate_jobs(*names)
    note("marker", delay=1)
    workload.wait_for_start("marker")
    while_paused = starts_of(workload, names)

    limit("settlement", paused=False)
    workload.wait_for_start("first", timeout=IN_FORCE + SLACK)
    limit("settlement", paused=True)
    note("marker 2", delay=IN_FORCE)
    workload.wait_for_start("marker 2")
    workload.open_gate("first")
    note("marker 3", delay=1)
    workload.wait_for_start("marker 3")
    while_paused_again = starts_of(workload, ["second", "third"])

    limit("settlement", paused=False)
    workload.wait_for_start("second", timeout=IN_FORCE + SLACK)
    assert (while_paused, while_paused_again) == ([], [])
    assert Job.objects.filter(queue="settlement").active().count() == 1
    for name in ("second", "third"):
        workload.open_gate(name)
    wait_until_done()


def test_the_limit_counts_again_when_the_jobs_of_a_killed_worker_were_rescued(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit("settlement", concurrency_limit=2)
    short = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2.0}
    first = rqworker("--processes", "1", jobqueue=short)
    names = ["left", "right", "next", "last"]
    gate_jobs(*names)
    for name in names[:2]:
        workload.wait_for_start(name)

    first.kill()
    start_two(rqworker, jobqueue=short)
    wait_until(lambda: Job.objects.filter(attempt=2).count() == 2)
    wait_until(lambda: Job.objects.active().count() == 2)
    note("marker", delay=1)
    workload.wait_for_start("marker")
    running = Job.objects.filter(queue="settlement").active().count()
    for name in names:
        workload.open_gate(name)
    wait_until_done()

    assert running == 2
    assert most_at_once(Job.objects.filter(queue="settlement")) == 2
    assert workload.effects() == dict.fromkeys([*names, "marker"], 1)
    wait_until(lambda: not connections.client_for("settlement").exists("rq:wip:settlement"), timeout=5)


def test_a_worker_without_a_free_thread_leaves_a_queue_with_a_limit_alone(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    limit("email", concurrency_limit=100)
    rqworker("--processes", "1", "--threads", "2")
    note_jobs(200, prefix="short")  # so that it takes short jobs ahead
    wait_until_done()
    gate_jobs("one", "two")
    workload.wait_for_start("one")
    workload.wait_for_start("two")
    names = note_limited(50)

    before = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    threading.Event().wait(1)  # as long as the scripts are counted
    calls = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    workload.open_gate("one")
    workload.open_gate("two")
    wait_until_done()

    assert calls < 60
    assert set(names) <= set(workload.effects())
