"""The options of `manage.py rqworker`, on real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import rq
from django.core.management import CommandError, call_command

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.workload.fixtures import Workload, note, note_jobs

pytestmark = pytest.mark.one_database


def test_burst_drains_the_queues_and_ends(rqworker: StartWorker, workload: Workload) -> None:
    names = note_jobs(30)

    worker = rqworker("--burst", wait=False)

    assert worker.wait() == 0
    assert workload.effects() == dict.fromkeys(names, 1)


def test_burst_on_empty_queues_ends_at_once(rqworker: StartWorker) -> None:
    assert rqworker("--burst", wait=False).wait() == 0


def test_burst_finishes_the_jobs_it_started(rqworker: StartWorker, workload: Workload) -> None:
    job = enqueue("workload.wait", name="slow")
    worker = rqworker("--burst", wait=False)
    workload.wait_for_start("slow")

    workload.open_gate("slow")

    assert worker.wait() == 0
    job.refresh_from_db()
    assert job.state == "completed"


def test_burst_leaves_delayed_jobs_for_later(rqworker: StartWorker, workload: Workload) -> None:
    job = note("later", delay=60)

    rqworker("--burst", wait=False).wait()

    job.refresh_from_db()
    assert job.state == "waiting"


@pytest.mark.parametrize("options", [[], ["--skip-checks"]])
def test_settings_that_cannot_be_used_end_the_worker_with_a_sentence(
    options: list[str], rqworker: StartWorker
) -> None:
    worker = rqworker(*options, jobqueue={"TIMEOUT": "3m", "THREADS": 0}, wait=False)

    assert worker.wait() == 1
    text = worker.output
    assert "JOBQUEUE TIMEOUT must be a number of seconds above 0, at most 3153600000" in text
    assert "JOBQUEUE THREADS must be a whole number from 1 to 10000, not 0" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("count", [1, 5])
def test_max_jobs_ends_the_worker_after_so_many(
    count: int, rqworker: StartWorker, workload: Workload
) -> None:
    note_jobs(12)

    worker = rqworker("--max-jobs", str(count), wait=False)

    assert worker.wait() == 0
    assert Job.objects.filter(state="completed").count() == count
    assert sum(workload.effects().values()) == count


def test_max_idle_time_ends_the_worker(rqworker: StartWorker) -> None:
    worker = rqworker("--max-idle-time", "1")

    assert worker.wait(timeout=10) == 0


def test_max_idle_time_counts_from_the_end_of_the_last_job(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker("--max-idle-time", "3", "--processes", "1")
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    note("behind", delay=4)
    workload.wait_for_start("behind")  # so the slow one has run for longer than the worker may be idle
    workload.open_gate("slow")
    workload.wait_for_effects(2)

    note("next", delay=1)

    workload.wait_for_effects(3)
    assert worker.wait(timeout=15) == 0


def test_the_process_id_is_written_to_a_file(rqworker: StartWorker, tmp_path: Path) -> None:
    worker = rqworker("--pid", str(tmp_path / "worker.pid"))

    assert int((tmp_path / "worker.pid").read_text()) == worker.pid


def test_the_name_is_the_workers_name_in_rq(rqworker: StartWorker, redis_client: object) -> None:
    rqworker("--name", "worker-7")

    assert [worker.name for worker in rq.Worker.all(connection=redis_client)] == ["worker-7"]


def test_the_name_is_in_the_attempts_that_failed_there(rqworker: StartWorker, workload: Workload) -> None:
    job = enqueue("workload.fail_fast", name="unlucky")

    rqworker("--name", "worker-7", "--processes", "1", "--burst", wait=False).wait()

    assert {attempt.worker_name for attempt in job.attempts.all()} == {"worker-7"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads must be 1 or more, not 0"),
        (("--processes", "-1"), "--processes must be 1 or more, not -1"),
        (("--shutdown-timeout", "-3"), "--shutdown-timeout must be 0 or more, not -3"),
        (("--max-jobs", "0"), "--max-jobs must be 1 or more, not 0"),
        (("--max-jobs-per-process", "0"), "--max-jobs-per-process must be 1 or more, not 0"),
        (("--max-memory-per-process", "0"), "--max-memory-per-process must be 1 or more, not 0"),
        (("--max-idle-time", "-1"), "--max-idle-time must be 0 or more, not -1"),
    ],
)
def test_a_number_out_of_range_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=f"^{message}$"):
        call_command("rqworker", "email", *arguments)


@pytest.mark.parametrize("name", ["w" * 255, "line\nfeed", "half\udcff", "soft\u00adhyphen"])
def test_a_name_that_no_row_or_key_can_have_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="^--name must be printable text of at most 190 characters, not "):
        call_command("rqworker", "email", "--name", name)


def test_an_unknown_queue_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        CommandError, match="no queue named emails; RQ_QUEUES has: email, reminders, settlement"
    ):
        call_command("rqworker", "email", "emails")


def test_without_names_all_queues_are_served(rqworker: StartWorker, workload: Workload) -> None:
    names = note_jobs(3)

    rqworker("--burst", queues=(), wait=False).wait()

    assert workload.effects() == dict.fromkeys(names, 1)


def test_a_worker_without_its_tables_says_what_to_do(rqworker: StartWorker, tmp_path: Path) -> None:
    worker = rqworker(wait=False, DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    worker.wait_for_line("the job queue's tables are missing or old; run: manage.py migrate$")
    assert worker.stop() == 0
    assert "Traceback" not in worker.output


def test_a_second_database_without_its_tables_is_named(rqworker: StartWorker, tmp_path: Path) -> None:
    worker = rqworker(wait=False, OTHER_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    worker.wait_for_line("in the database 'other'; run: manage.py migrate --database other$")
    assert worker.stop() == 0


def test_executors_that_die_at_once_make_the_worker_give_up(rqworker: StartWorker) -> None:
    worker = rqworker(wait=False, WORKLOAD_FORKS_DIE="1")

    assert worker.wait(timeout=20) == 1
    assert "giving up" in worker.output


def test_no_process_is_left_behind(rqworker: StartWorker) -> None:
    worker = rqworker()
    executors = [process.pid for process in worker.children()]

    worker.stop()

    assert executors
    for pid in executors:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.fixture
def two_cores() -> Iterator[tuple[int, ...]]:
    """Lets this process, and the workers that it starts, use two cores; one where there is one."""
    before = os.sched_getaffinity(0)
    allowed = sorted(before)[:2]
    os.sched_setaffinity(0, allowed)
    yield tuple(allowed)
    os.sched_setaffinity(0, before)


def _cores_of(executor: psutil.Process) -> tuple[int, ...]:
    """The cores that it uses; none once it has ended."""
    with suppress(psutil.NoSuchProcess):
        return tuple(executor.cpu_affinity())
    return ()


def _cores_of_executors(worker: WorkerProcess) -> set[tuple[int, ...]]:
    return {tuple(executor.cpu_affinity()) for executor in psutil.Process(worker.pid).children()}


def test_executors_keep_to_a_core_each_while_there_are_more_short_jobs_than_threads(
    two_cores: tuple[int, ...], rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", str(len(two_cores)), "--threads", "2")
    kept = {(core,) for core in two_cores}
    before = _cores_of_executors(worker)

    names = note_jobs(4000)
    wait_until(lambda: _cores_of_executors(worker) == kept)
    workload.wait_for_effects(len(names), timeout=60)

    wait_until(lambda: _cores_of_executors(worker) == {two_cores})
    assert before == {two_cores}


def test_an_executor_that_gives_way_leaves_its_core_though_a_job_still_runs(
    two_cores: tuple[int, ...], rqworker: StartWorker, workload: Workload
) -> None:
    options = ("--processes", str(len(two_cores)), "--threads", "2", "--max-jobs-per-process", "2000")
    worker = rqworker(*options)
    first = psutil.Process(worker.pid).children()
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    # So many that also who has the slow job, and one thread for others, gives way: it takes a third of them.
    names = note_jobs(10_000)
    workload.wait_for_effects(len(names), timeout=60)

    wait_until(lambda: two_cores in map(_cores_of, first))
    workload.open_gate("slow")


def test_without_cpu_affinity_executors_use_all_cores(
    two_cores: tuple[int, ...], rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", str(len(two_cores)), "--threads", "2", "--no-cpu-affinity")
    names = note_jobs(3000)

    workload.wait_for_effects(len(names) - 300, timeout=60)

    assert _cores_of_executors(worker) == {two_cores}
