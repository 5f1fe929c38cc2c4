"""Processes that jobs start end with the attempt that started them; forks never come back into the worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import ONE_JOB, QUICK, executor_of
from tests.servers import RedisServer
from tests.workload.children import marked
from tests.workload.fixtures import Workload, note, wait_until_done

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize("how", ["run", "shell", "output", "poll", "session", "fork"])
def test_a_command_ends_when_the_time_of_its_job_is_up(
    how: str, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker("--processes", "1")
    executors = [child.pid for child in worker.children()]

    job = enqueue("workload.command", name=f"slow-{how}", how=how)
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("failed", 2)
    assert set(job.attempts.values_list("error_class", flat=True)) == {"JobTimeout"}
    assert not marked(f"slow-{how}")
    assert not workload.effects()  # the second run found none of the first
    assert [child.pid for child in worker.children()] == executors


@pytest.mark.parametrize("how", ["run", "session"])
def test_a_command_ends_with_its_executor(how: str, rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(*ONE_JOB)
    job = enqueue("workload.long_command", name=f"killed-{how}", how=how)
    workload.wait_for_start(f"killed-{how}")
    (command,) = wait_until(lambda: marked(f"killed-{how}"))

    executor_of(job, worker).kill()
    workload.wait_for_start(f"killed-{how}")

    assert not command.is_running() or command.status() == psutil.STATUS_ZOMBIE
    assert not workload.effects()


@pytest.mark.parametrize("how", ["run", "session"])
def test_a_command_ends_with_its_worker(how: str, rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(*ONE_JOB, "--shutdown-timeout", "0.5")
    enqueue("workload.long_command", name=f"stopped-{how}", how=how)
    workload.wait_for_start(f"stopped-{how}")
    wait_until(lambda: marked(f"stopped-{how}"))

    assert worker.stop() == 0

    assert not marked(f"stopped-{how}")


@pytest.mark.parametrize("how", ["run", "session"])
def test_a_command_ends_when_its_supervisor_was_killed(
    how: str, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB, "--shutdown-timeout", "0.5")
    enqueue("workload.long_command", name=f"orphan-{how}", how=how)
    workload.wait_for_start(f"orphan-{how}")
    wait_until(lambda: marked(f"orphan-{how}"))

    os.kill(worker.pid, signal.SIGKILL)

    wait_until(lambda: not marked(f"orphan-{how}"))


@pytest.mark.parametrize("how", ["run", "session"])
def test_a_command_ends_when_its_supervisor_was_killed_and_its_executor_cannot_end_in_order(
    how: str, rqworker: StartWorker, workload: Workload, private_redis: Callable[..., RedisServer]
) -> None:
    server = private_redis()
    worker = rqworker(*ONE_JOB, "--shutdown-timeout", "0.5", redis=server)
    enqueue("workload.long_command", name=f"hung-{how}", how=how)
    workload.wait_for_start(f"hung-{how}")
    wait_until(lambda: marked(f"hung-{how}"))

    server.pause()
    os.kill(worker.pid, signal.SIGKILL)

    wait_until(lambda: not marked(f"hung-{how}"))


def test_what_a_job_left_ends_with_the_worker_and_is_reaped(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB)
    enqueue("workload.leave_command", name="left")
    workload.wait_for_start("left")
    (command,) = wait_until(lambda: marked("left"))
    wait_until(lambda: command.ppid() == worker.pid)

    command.kill()
    wait_until(lambda: not command.is_running())  # it is no zombie either
    enqueue("workload.leave_command", name="left too")
    workload.wait_for_start("left too")
    wait_until(lambda: marked("left too"))
    assert worker.stop() == 0

    assert not marked("left too")


@pytest.mark.parametrize(
    ("how", "code"), [("returns", 0), ("raises", 1), ("exits", 3), ("is interrupted", 1)]
)
def test_a_fork_that_comes_back_out_of_its_job_ends_there(
    how: str, code: int, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB)
    job = enqueue("workload.fork", name="forked", how=how)
    note("next")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {f"forked ended with {code}": 1, "next": 1}
    assert not Attempt.objects.exists()
    assert len(worker.children()) == 1


@pytest.mark.parametrize(("how", "code"), [("returns", 0), ("raises", 1)])
def test_a_fork_that_comes_back_out_of_a_coroutine_ends_there(
    how: str, code: int, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB)
    job = enqueue("workload.fork_in_loop", name="forked", how=how)
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {f"forked ended with {code}": 1}


def test_a_process_of_multiprocessing_inherits_neither_handlers_nor_connections(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB, jobqueue=QUICK)
    job = enqueue("workload.multiprocessing", name="pool")
    workload.wait_for_start("pool")
    workload.wait_for_effects(1)
    workload.open_gate("pool")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    # The one connection is that by which the workload tells.
    assert workload.effects() == {"pool: plain, 1 connections": 1, "pool ended with -15": 1}


def test_executors_stand_back_and_their_supervisor_does_not(rqworker: StartWorker) -> None:
    own = psutil.Process().nice()
    worker = rqworker("--processes", "1", jobqueue={"NICENESS": 17})
    assert {child.nice() for child in worker.children()} == {17}
    assert psutil.Process(worker.pid).nice() == own


def test_each_executor_leads_a_session_so_that_it_stands_back_behind_other_sessions(
    rqworker: StartWorker,
) -> None:
    worker = rqworker("--processes", "2", jobqueue={"NICENESS": 17})
    executors = [child.pid for child in worker.children()]
    assert [os.getsid(pid) for pid in executors] == executors

    told = [Path(f"/proc/{pid}/autogroup") for pid in executors]  # not there where the kernel has none
    assert all(file.read_text().split()[-1] == "17" for file in told if file.exists())
