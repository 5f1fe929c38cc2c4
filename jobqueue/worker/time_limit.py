"""The end of jobs that run in threads, before they end themselves.

JobTimeout is raised inside a job that runs too long, JobStopped inside one whose stop somebody asked for.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from jobqueue.exceptions import JobStopped, JobTimeout
from jobqueue.models import Job

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


# The watcher raises nothing this long before a limit, whatever it is doing meanwhile.
_SAFE_BEFORE_LIMIT = 1.0
# An event loop ends a coroutine itself, at its next step; what keeps it from that is interrupted then.
_AFTER_THE_LOOP = 0.3


class Running(AbstractContextManager["Running"]):
    """One job that runs under its limit in the thread that entered this block."""

    __slots__ = (
        *("_limits", "deadline", "end_loop", "interrupted_at", "job", "loop_thread", "raised"),
        *("stop_reason", "stopped_at", "thread"),
    )

    def __init__(self, limits: TimeLimits, job: Job) -> None:
        self._limits = limits
        self.job = job
        self.raised = False
        self.loop_thread: int | None = None
        self.end_loop: Callable[[], object] | None = None
        self.stop_reason = ""

    def __enter__(self) -> Running:
        self.thread = threading.get_ident()
        self.deadline = self.interrupted_at = time.monotonic() + self.job.timeout
        self._limits._running[self.thread] = self
        return self

    def enter_loop(self, thread: int, end: Callable[[], object]) -> None:
        """An event loop in this other thread works for the job, and keeps its limit; `end` ends it sooner."""
        with self._limits._lock:
            self.loop_thread, self.end_loop = thread, end
            if self.stop_reason:
                self._end_soon()
            else:
                self.interrupted_at = self.deadline + _AFTER_THE_LOOP

    def leave_loop(self) -> None:
        """The loop is about to end: nothing may be raised in its thread, whose number is free then."""
        with self._limits._lock:
            thread, self.loop_thread, self.end_loop = self.loop_thread, None, None
            if self.raised and thread is not None:
                _raise_in_thread(ctypes.c_ulong(thread), None)

    def stop(self, reason: str) -> None:
        """Somebody asked for the job's end: what is to be raised for that is raised once. With the lock."""
        if not self.stop_reason:
            self.stop_reason, self.stopped_at = reason, time.monotonic()
            self._end_soon()

    def _end_soon(self) -> None:
        self.interrupted_at = time.monotonic()
        if self.end_loop is not None:
            self.interrupted_at += _AFTER_THE_LOOP
            self.end_loop()

    @property
    def kind_of_error(self) -> type[BaseException]:
        """What is raised in the job. Only a class can be raised in another thread: it brings its text."""
        return _stop_error(self.stop_reason) if self.stop_reason else _timeout_error(self.job)

    def error(self) -> BaseException:
        """What is raised in the job when its time is up, or its stop was asked for."""
        return self.kind_of_error()

    def __exit__(self, *_: object) -> None:
        try:
            self._limits._running.pop(self.thread, None)
            # The usual end, without the lock: nothing was raised, and who is about to looks first whether the
            # job still runs.
            if self.raised or time.monotonic() >= self.deadline - _SAFE_BEFORE_LIMIT:
                self._limits._end(self)
        except (JobTimeout, JobStopped):
            # It arrived just here; it comes once, so this time nothing interrupts.
            self._limits._end(self)
            raise


class TimeLimits:
    """Watches the running jobs of one process. One watcher thread calls `enforce` now and then.

    An exception cannot interrupt a call into C code; `overrun` tells of jobs that went on past
    their limit, or their stop, and its grace, which only the end of the process stops.
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

    def forget_thread(self) -> None:
        """The job of this thread has ended by an error, perhaps just before it could leave its block."""
        self._running.pop(threading.get_ident(), None)

    def stop(self, reasons: dict[tuple[str, int, int], str]) -> None:
        """Have these jobs end, as far as they run, each by database, id and attempt and with its reason."""
        with self._lock:
            for running in list(self._running.values()):
                job = running.job
                reason = reasons.get((str(job._state.db), job.pk, job.attempt))
                if reason:
                    running.stop(reason)

    def enforce(self) -> list[Job]:
        """Raise what ends it in every job that is past its limit, or is to stop, once; those jobs."""
        now = time.monotonic()
        interrupted = []
        with self._lock:
            for running in list(self._running.values()):
                if now >= running.interrupted_at and not running.raised:
                    running.raised = True
                    if self._running.get(running.thread) is running:  # asked last: see `Running.__exit__`
                        _interrupt(running)
                        interrupted.append(running.job)
        return interrupted

    def overrun(self, grace: float) -> list[Job]:
        """The jobs that still run `grace` seconds past their limit, or past their stop."""
        late = time.monotonic() - grace
        with self._lock:
            return [
                running.job
                for running in list(self._running.values())
                if late >= running.deadline or (running.stop_reason and late >= running.stopped_at)
            ]

    def runs(self) -> list[Running]:
        """The runs that are under way, each with its thread."""
        with self._lock:
            return list(self._running.values())

    def running(self) -> list[Job]:
        """The jobs that run now."""
        return [running.job for running in self.runs()]


def _interrupt(running: Running) -> None:
    error = ctypes.py_object(running.kind_of_error)
    for thread in (running.thread, running.loop_thread):
        if thread is not None:
            _raise_in_thread(ctypes.c_ulong(thread), error)


def _timeout_error(job: Job) -> type[JobTimeout]:
    text = f"the job ran longer than its limit of {job.timeout:g} seconds"

    class Timeout(JobTimeout):
        def __init__(self) -> None:
            super().__init__(text)

    Timeout.__name__ = Timeout.__qualname__ = JobTimeout.__name__
    return Timeout


def _stop_error(reason: str) -> type[JobStopped]:
    class Stopped(JobStopped):
        def __init__(self) -> None:
            super().__init__(reason)

    Stopped.__name__ = Stopped.__qualname__ = JobStopped.__name__
    return Stopped
