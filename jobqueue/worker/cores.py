"""Which core an executor keeps to while it has more short jobs than threads.

The threads of one process take turns at the interpreter's lock. Spread over several cores they wake each
other up in vain, most of all around calls that hardly wait, such as a command to Redis: in two processes of
50 threads that is up to four times as many context switches, and half of the time that a short job costs.
On their core they run as a batch: who wakes up does not push aside who runs, which is a tenth again.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from jobqueue.conf import usable_cores

logger = logging.getLogger(__name__)

# Seconds of crowd before the threads are moved together, and without one before they are set free again.
_AFTER = 0.1
_LINGER = 1.0
_THREADS = Path("/proc/self/task")


def core_of(executor: int, processes: int) -> int | None:
    """The core of the executor with this number, counted from 0; None if it is to use them all.

    Only if every core gets as many executors as any other: fewer of them would keep to cores that others
    may be busy on, while some idle.
    """
    cores = usable_cores()
    if len(cores) < 2 or processes % len(cores) or not _THREADS.is_dir() or not _has_interpreter_lock():
        return None
    return cores[executor % len(cores)]


def _has_interpreter_lock() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class Affinity:
    """Moves all threads of this process to one core while it is crowded, and sets them free afterwards."""

    def __init__(self, core: int | None) -> None:
        """`core` None leaves the threads alone."""
        self._core = core
        # As it was before the threads were moved together.
        self._all: list[int] = []
        self._runs_as_usual = True
        self._crowded_since: float | None = None
        self._crowded_at = 0.0
        self.is_bound = False

    def adapt(self, *, is_crowded: bool) -> None:
        """To be called at least every second: are there more short jobs than threads?"""
        if self._core is None:
            return
        now = time.monotonic()
        if is_crowded:
            self._crowded_at = now
            self._crowded_since = self._crowded_since or now
            if not self.is_bound and now - self._crowded_since >= _AFTER:
                self._bind(self._core)
            return
        self._crowded_since = None
        if self.is_bound and now - self._crowded_at >= _LINGER:
            self._set_free()

    def end(self) -> None:
        """Set the threads free for good."""
        self._core = None
        if self.is_bound:
            self._set_free()

    def _bind(self, core: int) -> None:
        # What may be used can change while a process runs.
        self._all = usable_cores()
        self._runs_as_usual = os.sched_getscheduler(0) == os.SCHED_OTHER
        try:
            self._move([core], os.SCHED_BATCH)
            self.is_bound = True
        except OSError as error:
            # Not allowed here: it is about speed only.
            logger.debug("threads are left where they are: %s", error)
            self._core = None
            with suppress(OSError):
                self._move(self._all, os.SCHED_OTHER)

    def _set_free(self) -> None:
        self.is_bound = False
        try:
            self._move(self._all, os.SCHED_OTHER)
        except OSError as error:
            logger.warning("threads keep to one core: %s", error)

    def _move(self, cores: Iterable[int], policy: int) -> None:
        # Who chose another policy for the process keeps it.
        _move_threads(cores, policy if self._runs_as_usual else None)


def _move_threads(cores: Iterable[int], policy: int | None) -> None:
    # Each thread has its own cores and policy; one that starts later takes over those of who starts it.
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)
            if policy is not None:
                os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))
