"""What a supervisor and its executors share in memory: an executor writes in its slot, the supervisor reads.

Nothing is locked: every field is one machine word with one writer at a time.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar


class _Place(ctypes.Structure):
    """What the executor in one place tells of itself."""

    _fields_ = (
        ("running", ctypes.c_long),
        ("completed", ctypes.c_long),
        ("failed", ctypes.c_long),
        ("claimed", ctypes.c_long),
        ("is_retiring", ctypes.c_long),
        ("is_quiet", ctypes.c_long),
        ("alive_at", ctypes.c_double),
    )
    running: int
    completed: int
    failed: int
    claimed: int
    is_retiring: int
    is_quiet: int
    """Somebody asked its worker to claim no more: whoever takes its place does not either."""
    alive_at: float
    """The monotonic time of its last sign of life."""


class _Thread(ctypes.Structure):
    """What an executor tells of one of its threads."""

    _fields_ = (("job_id", ctypes.c_longlong), ("deadline", ctypes.c_double))
    job_id: int
    """The job that was started last."""
    deadline: float
    """The monotonic time when its time is up; 0 while none runs."""


class Totals(NamedTuple):
    """The jobs of all executors together, those that have ended included."""

    running: int
    completed: int
    failed: int


@dataclass
class Slot:
    """Where one executor tells its supervisor how it is; one made without arguments is read by nobody."""

    place: _Place = field(default_factory=_Place)
    threads: dict[int, _Thread] = field(default_factory=lambda: defaultdict(_Thread))
    ready_end: int | None = None
    """The end of a pipe to write to, once, when the executor is ready."""
    wake_end: int | None = None
    """The end of a pipe that wakes the supervisor."""

    def ready(self) -> None:
        """The executor is about to claim."""
        if self.ready_end is not None:
            os.write(self.ready_end, b"r")
            os.close(self.ready_end)

    def alive(self) -> None:
        """It has just given a sign of life to the database."""
        self.place.alive_at = time.monotonic()

    def running(self, count: int) -> None:
        """So many jobs are claimed and not settled."""
        self.place.running = count

    def performing(self, thread: int, job_id: int, deadline: float) -> None:
        """The thread with this number starts this job, whose time is up then; 0 when it has ended."""
        told = self.threads[thread]
        told.job_id = job_id
        told.deadline = deadline

    def settled(self, completed: int, failed: int) -> None:
        """So many jobs more have ended."""
        self.place.completed += completed
        self.place.failed += failed

    @property
    def is_quiet(self) -> bool:
        """Whether this executor is to claim no jobs."""
        return bool(self.place.is_quiet)

    def quiet(self, is_quiet: bool) -> None:
        """It claims no jobs from now on, or does again."""
        self.place.is_quiet = int(is_quiet)

    def retiring(self, claimed: int) -> None:
        """It claims no more, after so many jobs, and another may take over."""
        self.place.claimed = claimed
        self.place.is_retiring = 1
        if self.wake_end is not None:
            with suppress(BlockingIOError):
                os.write(self.wake_end, b"r")


_Shared = TypeVar("_Shared", bound=ctypes.Structure)


def _shared(kind: type[_Shared], count: int) -> ctypes.Array[_Shared]:
    """So many of them, in memory that belongs to no file.

    `multiprocessing` has the like, and wants a folder for its file: /dev/shm, which small containers lack.
    """
    return (kind * count).from_buffer(mmap.mmap(-1, ctypes.sizeof(kind) * count))


class Board:
    """Places for executors, numbered from 0, in memory that processes forked later share."""

    def __init__(self, places: int, threads: int, wake_end: int | None = None) -> None:
        """`threads` in each place; an executor that retires writes to `wake_end`, the end of a pipe."""
        self._places = _shared(_Place, places)
        self._threads = [_shared(_Thread, threads) for _ in range(places)]
        self._wake_end = wake_end

    def __len__(self) -> int:
        return len(self._places)

    def slot(self, number: int, ready_end: int | None = None) -> Slot:
        """Where the executor in this place tells how it is."""
        return Slot(self._places[number], dict(enumerate(self._threads[number])), ready_end, self._wake_end)

    def reset(self, number: int) -> None:
        """Make the place ready for a new executor; what others settled there still counts."""
        place = self._places[number]
        place.running = place.claimed = place.is_retiring = 0
        place.is_quiet = max(other.is_quiet for other in self._places)
        place.alive_at = time.monotonic()
        for thread in self._threads[number]:
            thread.job_id, thread.deadline = 0, 0.0

    def running(self, number: int) -> int:
        """How many jobs the executor there has claimed and not settled."""
        return self._places[number].running

    def has_ended(self, number: int) -> None:
        """Nothing runs there any more; the place may stay empty."""
        self._places[number].running = 0

    def claimed(self, number: int) -> int:
        """How many jobs the executor there had claimed in all when it began to retire."""
        return self._places[number].claimed

    def is_retiring(self, number: int) -> bool:
        """Whether the executor there only lets its last jobs finish."""
        return bool(self._places[number].is_retiring)

    def started(self, number: int) -> list[int]:
        """The job that each thread there started last; 0 if none."""
        return [thread.job_id for thread in self._threads[number]]

    def overdue(self, number: int, moment: float) -> list[int]:
        """The jobs that run there and should have ended before this monotonic time."""
        return [thread.job_id for thread in self._threads[number] if 0 < thread.deadline < moment]

    def silent_for(self, number: int) -> float:
        """Seconds since the last sign of life from there."""
        return time.monotonic() - self._places[number].alive_at

    def vouch(self, number: int, seconds_ago: float) -> None:
        """Take it that the executor there gave a sign of life so long ago."""
        self._places[number].alive_at = time.monotonic() - seconds_ago

    def totals(self) -> Totals:
        """The jobs of all places together."""
        return Totals(
            sum(place.running for place in self._places),
            sum(place.completed for place in self._places),
            sum(place.failed for place in self._places),
        )
