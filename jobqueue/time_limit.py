"""Time limits of jobs that run in threads: JobTimeout is raised inside a job that runs too long."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jobqueue.exceptions import JobTimeout
from jobqueue.models import Job

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


@dataclass
class _Running:
    job: Job
    thread: int
    deadline: float
    raised: bool = False


class TimeLimits:
    """Watches the running jobs of one process. One watcher thread calls `enforce` now and then.

    An exception cannot interrupt a call into C code; `overrun` tells of jobs that went on past
    their limit and its grace, which only the end of the process stops.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}

    @contextmanager
    def limit(self, job: Job) -> Iterator[None]:
        """Run the block under the job's time limit."""
        running = _Running(job, threading.get_ident(), time.monotonic() + job.timeout)
        try:
            with self._lock:
                self._running[running.thread] = running
            yield
        finally:
            try:
                self._end(running)
            except JobTimeout:
                # It arrived just here; it comes once, so this time nothing interrupts.
                self._end(running)
                raise

    def _end(self, running: _Running) -> None:
        with self._lock:
            self._running.pop(running.thread, None)
            if running.raised:
                # The job ended in the same moment: what has not arrived must not hit the next one.
                _raise_in_thread(ctypes.c_ulong(running.thread), None)

    def enforce(self) -> None:
        """Raise JobTimeout in every job that is past its limit, once."""
        now = time.monotonic()
        with self._lock:
            for running in self._running.values():
                if now >= running.deadline and not running.raised:
                    running.raised = True
                    error = _timeout_error(running.job)
                    _raise_in_thread(ctypes.c_ulong(running.thread), ctypes.py_object(error))

    def overrun(self, grace: float) -> list[Job]:
        """The jobs that still run `grace` seconds past their limit."""
        now = time.monotonic()
        with self._lock:
            return [running.job for running in self._running.values() if now >= running.deadline + grace]

    def running(self) -> list[Job]:
        """The jobs that run now."""
        with self._lock:
            return [running.job for running in self._running.values()]


def _timeout_error(job: Job) -> type[JobTimeout]:
    """Only a class can be raised in another thread, so the message is put into one."""
    text = f"the job ran longer than its limit of {job.timeout:g} seconds"

    class Timeout(JobTimeout):
        def __init__(self) -> None:
            super().__init__(text)

    Timeout.__name__ = Timeout.__qualname__ = JobTimeout.__name__
    return Timeout
