"""Processors that start processes, and processes that go where they should not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
from django.db import connection

from jobqueue.jobs import processor
from tests.workload.processors import (
    _ONE_RETRY,
    _have_effect,
    _note_start,
    client,
    gate_key,
)


def marked(name: str) -> list[psutil.Process]:
    """The processes of the machine that a job of this name started."""
    return list(_marked(name))


def _marked(name: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and _mark(name) in " ".join(process.cmdline()):
                yield process
        except psutil.NoSuchProcess:
            continue


def _mark(name: str) -> str:
    return f"child-of-{name}"


def _command(name: str) -> list[str]:
    return [sys.executable, "-c", "import time; time.sleep(600)", _mark(name)]


def _run(name: str) -> None:
    subprocess.run(_command(name))


def _run_in_shell(name: str) -> None:
    subprocess.run(" ".join(f"'{word}'" for word in _command(name)) + "; true", shell=True)


def _read_output(name: str) -> None:
    subprocess.run(_command(name), capture_output=True)


def _poll(name: str) -> None:
    child = subprocess.Popen(_command(name))
    while child.poll() is None:
        time.sleep(0.01)


def _leave_session(name: str) -> None:
    subprocess.Popen(_command(name), start_new_session=True).wait()


def _fork(name: str) -> None:
    child = os.fork()
    if not child:
        os.execv(sys.executable, _command(name))
    os.waitpid(child, 0)


_WAYS: dict[str, Callable[[str], None]] = {
    "run": _run,
    "shell": _run_in_shell,
    "output": _read_output,
    "poll": _poll,
    "session": _leave_session,
    "fork": _fork,
}


@processor("workload.command", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def command(name: str, how: str) -> None:
    """Starts a command that takes ten minutes, and waits for it."""
    if marked(name):
        _have_effect(f"{name} beside another")
    _note_start(name)
    _WAYS[how](name)


@processor("workload.long_command", queue="settlement", retry=_ONE_RETRY, timeout=600)
def long_command(name: str, how: str) -> None:
    """The same, and may do so."""
    command(name=name, how=how)


@processor("workload.leave_command", queue="settlement")
def leave_command(name: str) -> None:
    """Starts such a command and does not wait for it; it has no parent any more when it has ended."""
    subprocess.run(
        ["sh", "-c", " ".join(f"'{word}'" for word in _command(name)) + " &"], start_new_session=True
    )
    _note_start(name)


def _go_up(name: str, how: str) -> None:
    """What a fork does that its job forgot to end."""
    if how == "raises":
        raise ValueError("in the fork")
    if how == "exits":
        sys.exit(3)
    if how == "is interrupted":
        raise KeyboardInterrupt


@processor("workload.fork", queue="settlement", retry=_ONE_RETRY)
def fork(name: str, how: str) -> None:
    """Forks a process that comes back out of the job; the job's effect is to tell how that ended."""
    _note_start(name)
    child = os.fork()
    if not child:
        _go_up(name, how)
        return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _have_effect(f"{name} ended with {code}")


@processor("workload.fork_in_loop", queue="settlement", retry=_ONE_RETRY, timeout=10)
async def fork_in_loop(name: str, how: str) -> None:
    """Does what `fork` does, in an event loop."""
    fork.function(name, how)


def _tell(name: str, reads: bool) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    ours = handlers == [signal.SIG_DFL, signal.default_int_handler]
    ports = sorted({other.raddr.port for other in psutil.Process().net_connections() if other.raddr})
    _have_effect(f"{name}: {'plain' if ours else handlers}, {len(ports)} connections")
    if reads:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            _have_effect(f"{name} read {cursor.fetchone()[0]}")
    signal.pause()


@processor("workload.multiprocessing", queue="settlement")
def use_multiprocessing(name: str, reads: bool = False) -> None:
    """Has a process of multiprocessing tell what it inherited, and ends it once the gate is open.

    `reads`: it asks the database too, which in a fork may hang for ever where that is SQLite.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    child = multiprocessing.get_context("fork").Process(target=_tell, args=(name, reads))
    child.start()
    _note_start(name)
    client().blpop([gate_key(name)], timeout=20)
    child.terminate()
    child.join()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _have_effect(f"{name} ended with {child.exitcode}")
