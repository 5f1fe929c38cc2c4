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
# An event loop ends a coroutine itself, at its next step; what keeps it from that is interrupted then.
_AFTER_THE_LOOP = 0.3


class Running(AbstractContextManager["Running"]):
    """One job that runs under its limit in the thread that entered this block."""

    __slots__ = ("_limits", "deadline", "interrupted_at", "job", "loop_thread", "raised", "thread")

    def __init__(self, limits: TimeLimits, job: Job) -> None:
        self._limits = limits
        self.job = job
        self.raised = False
        self.loop_thread: int | None = None

    def __enter__(self) -> Running:
        self.thread = threading.get_ident()
        self.deadline = self.interrupted_at = time.monotonic() + self.job.timeout
        self._limits._running[self.thread] = self
        return self

    def enter_loop(self, thread: int) -> None:
        """An event loop in this other thread works for the job, and keeps its limit."""
        with self._limits._lock:
            self.loop_thread, self.interrupted_at = thread, self.deadline + _AFTER_THE_LOOP

    def leave_loop(self) -> None:
        """The loop is about to end: nothing may be raised in its thread, whose number is free then."""
        with self._limits._lock:
            thread, self.loop_thread = self.loop_thread, None
            if self.raised and thread is not None:
                _raise_in_thread(ctypes.c_ulong(thread), None)

    def error(self) -> JobTimeout:
        """What is raised in the job when its time is up."""
        return _timeout_error(self.job)()

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
        self._running: dict[int, Running] = {}

    def limit(self, job: Job) -> Running:
        """Run the block under the job's time limit."""
        return Running(self, job)

    def _end(self, running: Running) -> None:
        with self._lock:
            self._running.pop(running.thread, None)
            if running.raised:
                # The job ended in the same moment: what has not arrived must not hit the next one.
                _raise_in_thread(ctypes.c_ulong(running.thread), None)

    def enforce(self) -> list[Job]:
        """Raise JobTimeout in every job that is past its limit, once; those jobs."""
        now = time.monotonic()
        interrupted = []
        with self._lock:
            for running in list(self._running.values()):
                if now >= running.interrupted_at and not running.raised:
                    running.raised = True
                    _interrupt(running)
                    interrupted.append(running.job)
        return interrupted

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


def _interrupt(running: Running) -> None:
    error = ctypes.py_object(_timeout_error(running.job))
    for thread in (running.thread, running.loop_thread):
        if thread is not None:
            _raise_in_thread(ctypes.c_ulong(thread), error)


def _timeout_error(job: Job) -> type[JobTimeout]:
    """Only a class can be raised in another thread, so the message is put into one."""
    text = f"the job ran longer than its limit of {job.timeout:g} seconds"

    class Timeout(JobTimeout):
        def __init__(self) -> None:
            super().__init__(text)

    Timeout.__name__ = Timeout.__qualname__ = JobTimeout.__name__
    return Timeout
