"""The threads of one executor that run jobs, and what it holds ready for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import connections

from jobqueue.models import Job
from jobqueue.sql.databases import close_broken_connections
from jobqueue.worker import after_job, performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import DONE, Outcome
from jobqueue.worker.time_limit import TimeLimits

# Beyond its free threads an executor takes short jobs worth this many seconds, at most so many jobs ...
_AHEAD_SECONDS = 0.04
_AHEAD_JOBS = 256
# ... and gives back those that could not start within this time, because long ones keep the threads.
STALLED_AFTER = 0.1
_CLOSE_IDLE_CONNECTIONS_AFTER = 30.0
_CHECK_CONNECTIONS_AFTER = 1.0


class JobThreads:
    """Runs claimed jobs in `count` threads; every outcome goes to `performed`.

    Holds more jobs than it has threads while jobs are short, so that one claim serves many of them.
    """

    def __init__(
        self,
        count: int,
        *,
        performing: Callable[[int, int, float], None],
        performed: Callable[[Outcome], None],
        freed: Callable[[], None] = lambda: None,
        guard: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        """`performing` is told a thread's number, its job's id and when its time is up (0: it has ended).

        `freed` is called as `tell_when_free` says. `guard` wraps the body of a thread.
        """
        self.count = count
        self.limits = TimeLimits()
        self._performing, self._performed = performing, performed
        self._freed, self._guard = freed, guard
        self._claimed: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        # Claimed and not performed yet, waiting for a thread or running.
        self.unperformed = 0
        self._lock = threading.Lock()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Below this number unperformed, whoever waits for room is told, or `freed` called.
        self._tell_below = 0
        self._calls_freed = False
        self._average_seconds = 1.0
        self._last_performed = time.monotonic()
        self._numbers: dict[int, int] = {}

    def start(self) -> None:
        """Start the threads."""
        for number in range(self.count):
            body = self._guard(partial(self._run, number))
            threading.Thread(target=body, name=f"job {number}", daemon=True).start()

    @property
    def free(self) -> int:
        """How many threads have nothing to do."""
        return max(0, self.count - self.unperformed)

    @property
    def unstarted(self) -> int:
        """How many jobs wait for a thread."""
        return self._claimed.qsize()

    @property
    def are_jobs_short(self) -> bool:
        """Whether jobs end so soon that some are held ahead."""
        return self._average_seconds < _AHEAD_SECONDS

    @property
    def is_stalled(self) -> bool:
        """Whether all threads are busy and no job ended for a while: what is held ahead cannot start soon."""
        return self.unperformed >= self.count and time.monotonic() - self._last_performed >= STALLED_AFTER

    def running(self) -> list[tuple[int, Job, float]]:
        """What runs now: the number of its thread, the job, and for how many seconds it has run."""
        now, runs = time.monotonic(), self.limits.runs()
        return [
            (self._numbers[run.thread], run.job, now - run.deadline + run.job.timeout)
            for run in runs
            if run.thread in self._numbers
        ]

    def tell_when_free(self) -> bool:
        """Have `freed` called once a thread is free; False if there is one now."""
        with self._lock:
            if self.unperformed < self.count:
                return False
            self._tell_below, self._calls_freed = self.count, True
            return True

    def take(self, claims: Sequence[Claim]) -> None:
        """Run these jobs, as threads get free."""
        with self._lock:
            if not self.unperformed:
                self._last_performed = time.monotonic()
            self.unperformed += len(claims)
        for claimed in claims:
            self._claimed.put(claimed)
        # Lets a thread start at once, which would else wait for the interpreter's lock until this one waits.
        time.sleep(0)

    def wait_for_room(self) -> int:
        """How many jobs may be claimed now: the free threads, and some more while jobs are short.

        0 after a moment without room, so that the caller looks whether it is to stop.
        """
        ahead = 0 if self.is_stalled else self._ahead()
        capacity = self.count + ahead
        # Not for every thread that gets free: half of what is ahead makes a batch.
        wanted_below = max(1, capacity - ahead // 2)
        with self._lock:
            if self.unperformed < wanted_below:
                return capacity - self.unperformed
            self._tell_below, self._calls_freed = wanted_below, False
        try:
            self._room.get(timeout=STALLED_AFTER)
        except queue.Empty:
            self._tell_below = 0
            return 0
        # The token may be of a wait that timed out.
        return max(0, capacity - self.unperformed)

    def take_stalled(self) -> list[Claim]:
        """Claims that could not start because no thread got free for a while; they start no more here."""
        if time.monotonic() - self._last_performed < STALLED_AFTER:
            return []
        stalled = self.take_unstarted()
        if stalled:
            self._average_seconds = 1.0
        return stalled

    def take_unstarted(self) -> list[Claim]:
        """Claims that no thread took up yet; none will any more."""
        unstarted: list[Claim] = []
        try:
            while (claimed := self._claimed.get_nowait()) is not None:
                unstarted.append(claimed)
        except queue.Empty:
            pass
        with self._lock:
            self.unperformed -= len(unstarted)
        return unstarted

    def _ahead(self) -> int:
        """How many jobs to hold beyond the threads: a few milliseconds of work, none while jobs are long."""
        if not self.are_jobs_short:
            return 0
        return min(_AHEAD_JOBS, int(self.count * _AHEAD_SECONDS / max(self._average_seconds, 1e-5)))

    def _run(self, number: int) -> None:
        """Body of a thread."""
        self._numbers[threading.get_ident()] = number
        limit, idle_since, pristine = self.limits.limit, time.monotonic(), after_job.begin_thread()
        while True:
            try:
                claimed = self._claimed.get(timeout=_CLOSE_IDLE_CONNECTIONS_AFTER)
            except queue.Empty:
                connections.close_all()
                continue
            if claimed is None:
                return
            if time.monotonic() - idle_since > _CHECK_CONNECTIONS_AFTER:
                close_broken_connections(asked=claimed.using)
            self._performing(number, claimed.job.pk, time.monotonic() + claimed.job.timeout)
            outcome = pristine.copy().run(performing.perform, claimed, limit)
            self._performing(number, claimed.job.pk, 0.0)
            if outcome.status not in DONE:
                self.limits.forget_thread()
            outcome = after_job.clean_up(outcome)
            if outcome.is_outage:
                connections.close_all()  # the next use reaches whoever serves now
            idle_since = self._note_performed(outcome.seconds)
            self._performed(outcome)

    def _note_performed(self, seconds: float) -> float:
        now = time.monotonic()
        with self._lock:
            self.unperformed -= 1
            # Follows a change within a few jobs, and is not thrown off by one.
            self._average_seconds += 0.1 * (seconds - self._average_seconds)
            self._last_performed = now
            tells = self.unperformed < self._tell_below
            if tells:
                self._tell_below = 0
        if tells and self._calls_freed:
            self._freed()
        elif tells:
            self._room.put(None)
        return now
