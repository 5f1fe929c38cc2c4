"""The processes that a job starts end with it, if it fails: its next run must not find them at work."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from jobqueue.jobs import current_job
from jobqueue.models import Job
from jobqueue.worker import processes

# Seconds that a process which was killed may take to be gone.
_DIES_WITHIN = 1.0

# By its id, what each running job started: processes of `subprocess`, and the numbers of forks. No lock,
# which a fork could inherit locked: every change is one step of the interpreter's.
_of_jobs: dict[int, list[weakref.ref[subprocess.Popen[Any]] | int]] = {}
_known_forks: set[int] = set()
_is_noting = False


def note_from_now_on() -> None:
    """Note for each job which processes it starts, in its thread or in its event loop."""
    global _is_noting
    if _is_noting:
        return
    _is_noting = True
    start = subprocess.Popen.__init__

    def start_and_note(self: subprocess.Popen[Any], *args: Any, **options: Any) -> None:
        start(self, *args, **options)
        _note(weakref.ref(self))

    # Nothing else tells of a child that is started without a fork of the interpreter.
    subprocess.Popen.__init__ = start_and_note  # type: ignore[method-assign]
    if sys.platform == "linux":
        os.register_at_fork(after_in_parent=_note_fork)


def kill_those_of(jobs: Iterable[Job]) -> None:
    """Kill what these jobs have started and what that has started.

    While a thread waits for it, as `subprocess.run` does, no exception arrives there.
    """
    started = [child for job in jobs for child in list(_of_jobs.get(id(job), ()))]
    if started:
        processes.kill_descendants(pid for child in started if (pid := _running(child)))


def let_go_of(job: Job, *, kills: bool) -> None:
    """The job has ended: what it started goes on without it, or not."""
    if not _of_jobs:
        return
    if kills:
        kill_those_of([job])
        for child in list(_of_jobs.get(id(job), ())):
            _reap(child)
    _of_jobs.pop(id(job), None)


def _note(child: weakref.ref[subprocess.Popen[Any]] | int) -> None:
    job = current_job()
    if job is not None:
        _of_jobs.setdefault(id(job), []).append(child)


def _note_fork() -> None:
    """Right after this process forked; nobody tells which process that made."""
    if current_job() is None:
        return
    now = processes.children()
    for pid in now - _known_forks - _of_subprocess():
        _note(pid)
    _known_forks.clear()
    _known_forks.update(now)


def _of_subprocess() -> set[int]:
    noted = [child for started in list(_of_jobs.values()) for child in list(started)]
    return {pid for child in noted if (pid := _running(child))}


def _reap(child: weakref.ref[subprocess.Popen[Any]] | int) -> None:
    """Wait for what was just killed, at most a second: whoever started it does not any more."""
    if isinstance(child, int):
        processes.reap(child, within=_DIES_WITHIN)
    elif process := child():
        with suppress(subprocess.TimeoutExpired):
            process.wait(_DIES_WITHIN)


def _running(child: weakref.ref[subprocess.Popen[Any]] | int) -> int | None:
    """Its process id while it runs; one that was waited for may be somebody else's."""
    if isinstance(child, int):
        return child if processes.is_child_running(child) else None
    process = child()
    return process.pid if process is not None and process.returncode is None else None
