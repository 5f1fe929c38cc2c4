"""Executor processes that give way to fresh ones, after so many jobs or with so much memory in use."""

from __future__ import annotations

import time
from collections import Counter

import pytest
import redis
import rq

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
RETIRES = "gives way after"
HAS_RETIRED = "has given way to another"


def executors_of(*jobs: Job) -> list[object]:
    """Which executor each job ran in."""
    rows = dict(Job.objects.values_list("pk", "worker_id"))
    return [rows[job.pk] for job in jobs]


def jobs_by_executor() -> Counter[object]:
    """How many jobs each executor ran."""
    return Counter(Job.objects.values_list("worker_id", flat=True))


def assert_each_ran_once(workload: Workload, names: list[str]) -> None:
    """Nothing was lost or doubled, and no attempt was used up."""
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("completed", 1, 0)}


def state_in_rq(connection: redis.Redis) -> str:
    """Whether RQ takes the only worker for busy or idle."""
    [known] = rq.Worker.all(connection=connection)
    return str(known.get_state())


# After so many jobs -------------------------------------------------------------------------------


def test_an_executor_gives_way_after_so_many_jobs(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "5")

    names = note_jobs(23)
    wait_until_done()

    assert_each_ran_once(workload, names)
    assert max(jobs_by_executor().values()) == 5
    assert len(jobs_by_executor()) == 5
    assert worker.stop() == 0


def test_the_setting_does_what_the_option_does(rqworker: StartWorker, workload: Workload) -> None:
    rqworker("--processes", "1", jobqueue={"MAX_JOBS_PER_PROCESS": 5})

    names = note_jobs(12)
    wait_until_done()

    assert_each_ran_once(workload, names)
    assert max(jobs_by_executor().values()) == 5


def test_recycling_under_load_loses_and_doubles_nothing(rqworker: StartWorker, workload: Workload) -> None:
    workers = [rqworker("--max-jobs-per-process", "40", wait=False) for _ in range(2)]

    names = note_jobs(800)
    wait_until_done(60)

    assert_each_ran_once(workload, names)
    assert max(jobs_by_executor().values()) <= 40
    assert [worker.stop() for worker in workers] == [0, 0]


def test_an_executor_that_has_given_way_leaves_no_row_and_no_process(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "1")
    [first] = worker.children()

    note("only")
    worker.wait_for_line(HAS_RETIRED)

    assert not first.is_running()
    [fresh] = wait_until(worker.children)
    wait_until(lambda: list(Worker.objects.values_list("pid", flat=True)) == [fresh.pid])


def test_a_long_job_ends_in_the_retiring_process_while_the_fresh_one_takes_new_jobs(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--threads", "2", "--max-jobs-per-process", "2")
    long = enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    short = note("short")
    worker.wait_for_line(RETIRES)

    new = note("new")
    workload.wait_for_effects(2)
    long.refresh_from_db()
    while_new_ran = long.state
    workload.open_gate("long")
    worker.wait_for_line(HAS_RETIRED)
    wait_until_done()

    assert while_new_ran == "active"
    first, second, third = executors_of(long, short, new)
    assert first == second != third
    assert_each_ran_once(workload, ["long", "short", "new"])
    assert worker.stop() == 0


def test_a_second_executor_that_is_due_waits_for_its_place(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1", "--threads", "2", "--max-jobs-per-process", "1")
    enqueue("workload.wait", name="long")
    workload.wait_for_start("long")

    # Each takes one job, with the first place still in use.
    names = note_jobs(6)
    workload.wait_for_effects(6)
    assert len(worker.children()) <= 2
    workload.open_gate("long")
    wait_until_done()

    assert_each_ran_once(workload, [*names, "long"])
    assert len(jobs_by_executor()) == 7


# With so much memory in use -----------------------------------------------------------------------


def test_an_executor_gives_way_once_it_has_more_memory_in_use_than_allowed(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--max-memory-per-process", "300")
    before = note("before")
    workload.wait_for_effects(1)
    grow = enqueue("workload.grow", name="grow", megabytes=300)
    worker.wait_for_line("gives way with [34][0-9][0-9] MB in use")

    after = note("after")
    workload.wait_for_effects(3)
    wait_until_done()

    first, second, third = executors_of(before, grow, after)
    assert first == second != third
    assert_each_ran_once(workload, ["before", "grow", "after"])
    assert worker.stop() == 0


def test_a_job_that_takes_much_memory_may_end_first(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--processes", "1", "--threads", "2", "--max-memory-per-process", "300")
    long = enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    enqueue("workload.grow", name="grow", megabytes=300)
    worker.wait_for_line("gives way with")

    workload.open_gate("long")
    worker.wait_for_line(HAS_RETIRED)

    assert_each_ran_once(workload, ["grow", "long"])
    assert Job.objects.get(pk=long.pk).attempts.count() == 0


def test_under_a_limit_that_is_too_low_for_any_process_jobs_run_all_the_same(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--max-memory-per-process", "1")
    names = note_jobs(5)
    wait_until_done()

    assert_each_ran_once(workload, names)
    assert worker.stop() == 0


# The stop -----------------------------------------------------------------------------------------


def test_a_job_of_a_retiring_process_may_finish_within_the_shutdown_timeout(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "1")
    enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    worker.wait_for_line(RETIRES)
    enqueue("workload.wait", name="new")
    workload.wait_for_start("new")

    worker.signal(15)
    for name in ("long", "new"):
        workload.open_gate(name)

    assert worker.wait() == 0
    assert_each_ran_once(workload, ["long", "new"])


def test_a_retiring_process_hands_back_what_does_not_finish_within_the_shutdown_timeout(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "1", "--shutdown-timeout", "1")
    job = enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    worker.wait_for_line(RETIRES)
    executors = worker.children()

    begin = time.monotonic()
    assert worker.stop() == 0

    assert time.monotonic() - begin < 5
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures, job.attempts.count()) == ("waiting", 1, 0, 0)
    assert redis_client.zcard("rq:wip:settlement") == 0
    assert not any(executor.is_running() for executor in executors)
    assert not Worker.objects.exists()


def test_a_retiring_process_that_dies_gives_its_jobs_back_and_is_replaced_only_once(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "1")
    [first] = worker.children()
    job = enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    worker.wait_for_line(RETIRES)
    wait_until(lambda: len(worker.children()) == 2)

    first.kill()
    workload.wait_for_start("long")
    workload.open_gate("long")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 2, 1)
    wait_until(lambda: len(worker.children()) == 1)
    wait_until(lambda: state_in_rq(redis_client) == "idle", timeout=5)
    assert worker.stop() == 0


# Counts -------------------------------------------------------------------------------------------


def test_rq_counts_the_jobs_of_all_executors(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker("--processes", "1", "--max-jobs-per-process", "4")
    note_jobs(11)
    enqueue("workload.fail_fast", name="unlucky")
    wait_until_done()

    def counts() -> tuple[int, int, str]:
        [known] = rq.Worker.all(connection=redis_client)
        return known.successful_job_count, known.failed_job_count, known.get_state()

    wait_until(lambda: counts() == (11, 4, "idle"), timeout=5)
    assert sum(redis_client.zcard(f"rq:wip:{name}") for name in ("email", "reminders", "settlement")) == 0


def test_rq_sees_a_worker_busy_while_only_its_retiring_process_is(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", "--max-jobs-per-process", "1")
    enqueue("workload.wait", name="long")
    workload.wait_for_start("long")
    worker.wait_for_line(RETIRES)
    wait_until(lambda: len(worker.children()) == 2)
    wait_until(lambda: state_in_rq(redis_client) == "busy", timeout=5)

    workload.open_gate("long")

    wait_until(lambda: state_in_rq(redis_client) == "idle", timeout=5)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--processes", "1", "--max-jobs-per-process", "5"),
        ("--processes", "2", "--max-jobs-per-process", "5"),
        ("--processes", "1", "--max-jobs-per-process", "12"),
        ("--processes", "1", "--max-jobs-per-process", "50"),
        ("--processes", "1", "--max-memory-per-process", "1"),
    ],
    ids=["one process", "two processes", "as many", "fewer than a process may", "by memory"],
)
def test_max_jobs_is_exact_over_executors_that_give_way(
    arguments: tuple[str, ...], rqworker: StartWorker, workload: Workload
) -> None:
    note_jobs(40)

    worker = rqworker("--max-jobs", "12", *arguments, wait=False)

    assert worker.wait() == 0
    assert Job.objects.filter(state="completed").count() == 12
    assert sum(workload.effects().values()) == 12


def test_burst_ends_with_empty_queues_over_executors_that_give_way(
    rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(23)

    worker = rqworker("--burst", "--processes", "1", "--max-jobs-per-process", "5", wait=False)

    assert worker.wait() == 0
    assert_each_ran_once(workload, names)
