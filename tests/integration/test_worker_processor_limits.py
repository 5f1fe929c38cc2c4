"""Rate and concurrency limits of processors hold over all workers together, on real processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

import pytest
from rq import Queue as RQQueue

from jobqueue.broker import connections
from jobqueue.counts.reading import counts_of_database
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, ProcessorLimits, Queue, jobs_in
from jobqueue.models.parking import parked
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.fail_steps import QUICK
from tests.workload.fixtures import Workload, note, wait_until_done

NOTE, WAIT = "workload.note.settlement", "workload.wait"
# A decision of an operator is in force within a second; a busy machine adds another.
IN_FORCE, SLACK = 1.0, 1.0


def limit(processor: str, **limits: int | None) -> None:
    """Decide about a processor as an operator does."""
    ProcessorLimits.objects.update_or_create(name=processor, defaults=limits)


def notes(count: int, prefix: str = "note") -> list[str]:
    """Enqueue so many short jobs of `NOTE` on the queue settlement; their names."""
    names = [f"{prefix}-{number}" for number in range(count)]
    enqueue_many((NOTE, {"name": name}) for name in names)
    return names


def gates(*names: str) -> list[Job]:
    """Enqueue jobs of `WAIT` on the queue settlement, which run until their gate opens."""
    return [enqueue(WAIT, name=name) for name in names]


def hold_back(workload: Workload, first: str, *names: str) -> None:
    """Have the first job of `WAIT` run, and the others held back behind it."""
    gates(first)
    workload.wait_for_start(first)
    gates(*names)
    wait_until_held_back(len(names))


def wait_until_held_back(number: int) -> None:
    """Return once so many jobs of `WAIT` are parked."""
    wait_until(lambda: parked(jobs_in("default"), [WAIT]).count() == number)


def start_two(rqworker: StartWorker, *arguments: str, **options: object) -> None:
    """Two workers of one process each."""
    workers = [
        rqworker("--processes", "1", *arguments, wait=False, **options)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    for worker in workers:
        worker.wait_until_ready()


def starts_of(workload: Workload, names: Iterable[str]) -> list[float]:
    """When the jobs of these names started, in order."""
    return sorted(moment for name in names for moment in workload.start_times(name))


def most_within_a_second(starts: Sequence[float]) -> int:
    """The most starts in any window of one second."""
    return max(sum(first <= start < first + 1.0 for start in starts) for first in starts)


def most_at_once(processor: str) -> int:
    """The most jobs of it that were active at the same time, by their rows."""
    rows = Job.objects.filter(processor=processor, started_at__isnull=False).values_list(
        "started_at", "finished_at"
    )
    runs: list[tuple[datetime, datetime]] = list(rows)  # type: ignore[arg-type]
    return max(sum(start <= moment < end for start, end in runs) for moment, _end in runs)


# Concurrency --------------------------------------------------------------------------------------


def test_two_workers_never_run_two_jobs_of_a_processor_with_a_limit_of_one(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(NOTE, concurrency_limit=1)
    start_two(rqworker)

    names = notes(60)
    wait_until_done(40)

    assert most_at_once(NOTE) == 1
    assert workload.effects() == dict.fromkeys(names, 1)


def test_what_a_limit_holds_back_starts_in_its_order(rqworker: StartWorker, workload: Workload) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    names = [f"gate-{number}" for number in range(40)]
    hold_back(workload, "first", *names)
    for name in names:
        workload.open_gate(name)

    workload.open_gate("first")
    wait_until_done(40)

    started = list(Job.objects.order_by("started_at").values_list("payload__name", flat=True))
    assert started == ["first", *names]


def test_the_next_job_of_the_processor_starts_as_soon_as_one_ends(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    names = [f"gate-{number}" for number in range(5)]
    hold_back(workload, *names)

    waits = []
    for name, following in zip(names, names[1:], strict=False):
        opened = time.time()
        workload.open_gate(name)
        workload.wait_for_start(following)
        waits.append(workload.start_times(following)[0] - opened)
    workload.open_gate(names[-1])
    wait_until_done()

    assert max(waits) < 0.5
    assert most_at_once(WAIT) == 1


def test_a_job_behind_three_hundred_of_a_processor_at_its_limit_starts_at_once(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    gates("first")
    workload.wait_for_start("first")
    enqueue_many((WAIT, {"name": f"gate-{number}"}) for number in range(300))

    behind = note("behind", "settlement")
    workload.wait_for_start("behind", timeout=10)

    assert workload.start_times("behind")[0] - behind.created_at.timestamp() < 1 + SLACK
    assert Job.objects.filter(processor=WAIT).active().count() == 1
    assert Job.objects.filter(processor=WAIT).waiting().count() == 300


def test_a_limit_that_is_removed_lets_all_run_at_once(rqworker: StartWorker, workload: Workload) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    names = [f"gate-{number}" for number in range(4)]
    hold_back(workload, *names)

    limit(WAIT, concurrency_limit=None)
    changed = time.time()
    for name in names[1:]:
        workload.wait_for_start(name, timeout=5)

    assert max(starts_of(workload, names)) - changed < IN_FORCE + SLACK
    for name in names:
        workload.open_gate(name)
    wait_until_done()


def test_what_a_limit_held_back_runs_though_the_limit_ended_while_no_worker_ran(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    first = rqworker("--processes", "1")
    hold_back(workload, "one", "two", "three")
    workload.open_gate("one")
    workload.open_gate("two")
    workload.wait_for_start("two")
    first.stop()

    limit(WAIT, concurrency_limit=None)
    workload.open_gate("three")
    rqworker("--processes", "1")
    wait_until_done()

    assert workload.effects() == {"one": 1, "two": 1, "three": 1}


def test_the_next_starts_after_the_rescue_of_a_killed_worker_that_held_all_of_the_limit(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    short = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2.0}
    first = rqworker("--processes", "1", jobqueue=short)
    hold_back(workload, "left", "next")

    first.kill()
    rqworker("--processes", "1", jobqueue=short)
    note("marker", "settlement")
    workload.wait_for_start("marker")
    while_silent = len(workload.start_times("next"))
    workload.open_gate("next")
    workload.open_gate("left")
    wait_until_done(40)

    assert while_silent == 0
    assert most_at_once(WAIT) == 1
    assert workload.effects() == {"left": 1, "next": 1, "marker": 1}
    wait_until(lambda: not connections.client_for("settlement").exists("rq:wip:settlement"), timeout=5)


def test_the_limit_holds_and_all_run_though_redis_is_emptied_while_jobs_are_held_back(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    limit(WAIT, concurrency_limit=2)
    start_two(rqworker, redis=queue_redis, jobqueue={"LOST_AFTER": 0.5})
    names = [f"gate-{number}" for number in range(8)]
    gates(*names)
    wait_until(lambda: Job.objects.active().count() == 2)

    connections.client_for("settlement").flushall()
    # After this one everything that was lost has been published again.
    note("marker", "settlement", delay=2)
    workload.wait_for_start("marker")
    running = Job.objects.filter(processor=WAIT).active().count()
    for name in names:
        workload.open_gate(name)
    wait_until_done(40)

    assert running == 2
    assert most_at_once(WAIT) == 2
    assert workload.effects() == dict.fromkeys([*names, "marker"], 1)


def test_what_a_limit_holds_back_can_be_cancelled_and_moved(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    hold_back(workload, "one", "two", "three", "four")
    rows = {job.payload["name"]: job for job in Job.objects.filter(processor=WAIT)}

    rows["two"].cancel("not needed")
    assert Job.objects.filter(pk=rows["three"].pk).move_to("reminders") == 1
    for name in ("one", "three", "four"):
        workload.open_gate(name)
    wait_until_done()

    rows["three"].refresh_from_db()
    assert workload.effects() == {"one": 1, "three": 1, "four": 1}
    assert (rows["three"].queue, rows["three"].state) == ("reminders", Job.State.COMPLETED)
    assert most_at_once(WAIT) == 1


def test_the_limits_of_a_queue_and_of_its_processor_hold_together(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(NOTE, concurrency_limit=3)
    Queue.objects.update_or_create(name="settlement", defaults={"concurrency_limit": 1, "rate_limit": 10})
    start_two(rqworker)

    names = notes(25)
    wait_until_done(40)

    assert most_at_once(NOTE) == 1
    assert most_within_a_second(starts_of(workload, names)) <= 10
    assert workload.effects() == dict.fromkeys(names, 1)


def test_a_paused_queue_starts_nothing_that_a_limit_held_back(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    hold_back(workload, "one", "two")

    Queue.objects.update_or_create(name="settlement", defaults={"paused": True})
    note("marker", delay=IN_FORCE)
    workload.wait_for_start("marker")
    workload.open_gate("one")
    note("marker 2", delay=1)
    workload.wait_for_start("marker 2")
    while_paused = len(workload.start_times("two"))
    Queue.objects.update(paused=False)
    workload.open_gate("two")
    wait_until_done()

    assert while_paused == 0
    assert workload.effects()["two"] == 1


# Rate ---------------------------------------------------------------------------------------------


def test_two_workers_start_no_more_of_a_processor_than_its_rate_in_any_second_and_nearly_as_many(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(NOTE, rate_limit=10)
    start_two(rqworker)

    names = notes(25)
    wait_until_done()

    starts = starts_of(workload, names)
    assert len(starts) == 25
    assert most_within_a_second(starts) <= 10
    assert 20 / (starts[20] - starts[0]) >= 8


def test_the_rate_of_a_processor_holds_when_redis_loses_everything(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    limit(NOTE, rate_limit=5)
    start_two(rqworker, redis=queue_redis, jobqueue={"LOST_AFTER": 0.5})
    names = notes(20)
    workload.wait_for_effects(5)

    connections.client_for("settlement").flushall()
    wait_until_done(40)

    assert most_within_a_second(starts_of(workload, names)) <= 5
    assert workload.effects() == dict.fromkeys(names, 1)


@pytest.mark.parametrize("limits", [{"rate_limit": 5}, {"concurrency_limit": 1}], ids=["rate", "concurrency"])
def test_burst_runs_all_jobs_of_a_processor_with_a_limit(
    limits: dict[str, int], rqworker: StartWorker, workload: Workload
) -> None:
    limit(NOTE, **limits)
    names = notes(12)

    worker = rqworker("--burst", wait=False)

    assert worker.wait() == 0
    assert workload.effects() == dict.fromkeys(names, 1)


# What else is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        "jobqueue.models.parking.park:before",
        "jobqueue.models.parking.park:after",
        "jobqueue.broker.queues.park:before",
        "jobqueue.broker.queues.park:after",
        "jobqueue.broker.queues.note_started:before",
        "jobqueue.broker.queues.note_started:after",
    ],
)
def test_a_process_that_ends_while_it_parks_or_starts_loses_and_doubles_nothing(
    step: str, rqworker: StartWorker, workload: Workload
) -> None:
    limit(NOTE, concurrency_limit=1)
    rqworker("--processes", "2", jobqueue=QUICK | {"LOST_AFTER": 0.5}, WORKLOAD_FAIL_POINT=step)

    names = notes(20)
    wait_until_done(40)

    assert workload.struck()
    assert workload.effects() == dict.fromkeys(names, 1)
    assert most_at_once(NOTE) == 1
    wait_until(lambda: not connections.client_for("settlement").exists("rq:wip:settlement"), timeout=5)


def test_rqs_tools_and_the_counts_tell_what_runs_and_what_a_limit_holds_back(
    rqworker: StartWorker, workload: Workload
) -> None:
    limit(WAIT, concurrency_limit=1)
    start_two(rqworker)
    hold_back(workload, "one", "two", "three")

    told = RQQueue("settlement", connection=connections.client_for("settlement"))
    started = told.started_job_registry

    def counted() -> tuple[int, int]:
        return started.get_job_count(cleanup=False), told.count

    counts = counts_of_database("default")["settlement"]

    # As with what is delayed, RQ's list has what a worker may take; the rows have all that waits.
    wait_until(lambda: counted() == (1, 0))
    assert (counts.active, counts.waiting) == (1, 2)
    for name in ("one", "two", "three"):
        workload.open_gate(name)
    wait_until_done()
    wait_until(lambda: counted() == (0, 0))
