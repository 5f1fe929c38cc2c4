"""Time limits of jobs that run in threads: JobTimeout is raised inside a job that runs too long."""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import AbstractContextManager

from jobqueue.exceptions import JobTimeout
from jobqueue.models import Job

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


# The watcher raises nothing this long before a limit, whatever it is doing meanwhile.
_SAFE_BEFORE_LIMIT = 1.0


class _Running(AbstractContextManager[None]):
    """One job that runs under its limit in the thread that entered this block."""

    __slots__ = ("_limits", "deadline", "job", "raised", "thread")

    def __init__(self, limits: TimeLimits, job: Job) -> None:
        self._limits = limits
        self.job = job
        self.raised = False

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        self.deadline = time.monotonic() + self.job.timeout
        self._limits._running[self.thread] = self

    def __exit__(self, *_: object) -> None:
        if time.monotonic() < self.deadline - _SAFE_BEFORE_LIMIT:
            # The usual end, without the lock: nothing was raised and nothing is about to be.
            self._limits._running.pop(self.thread, None)
            return
        try:
            self._limits._end(self)
        except JobTimeout:
            # It arrived just here; it comes once, so this time nothing interrupts.
            self._limits._end(self)
            raise


class TimeLimits:
    """Watches the running jobs of one process. One watcher thread calls `enforce` now and then.

    An exception cannot interrupt a call into C code; `overrun` tells of jobs that went on past
    their limit and its grace, which only the end of the process stops.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}

    def limit(self, job: Job) -> AbstractContextManager[None]:
        """Run the block under the job's time limit."""
        return _Running(self, job)

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
            for running in list(self._running.values()):
                if now >= running.deadline and not running.raised:
                    running.raised = True
                    error = _timeout_error(running.job)
                    _raise_in_thread(ctypes.c_ulong(running.thread), ctypes.py_object(error))

    def overrun(self, grace: float) -> list[Job]:
        """The jobs that still run `grace` seconds past their limit."""
        now = time.monotonic()
        with self._lock:
            return [
                running.job for running in list(self._running.values()) if now >= running.deadline + grace
            ]

    def running(self) -> list[Job]:
        """The jobs that run now."""
        with self._lock:
            return [running.job for running in list(self._running.values())]


def _timeout_error(job: Job) -> type[JobTimeout]:
    """Only a class can be raised in another thread, so the message is put into one."""
    text = f"the job ran longer than its limit of {job.timeout:g} seconds"

    class Timeout(JobTimeout):
        def __init__(self) -> None:
            super().__init__(text)

    Timeout.__name__ = Timeout.__qualname__ = JobTimeout.__name__
    return Timeout
