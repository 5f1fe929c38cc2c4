"""When an executor claims, when it waits, and when it claims no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobqueue.broker.bell import Bell
from jobqueue.delivery import outbox
from jobqueue.registry import why_unfit
from jobqueue.sql.databases import OUTAGES, close_broken_connections
from jobqueue.worker import claiming
from jobqueue.worker.board import Slot
from jobqueue.worker.claiming import Batch, Claim, Identity, Wanted
from jobqueue.worker.cores import Affinity
from jobqueue.worker.database_threads import DatabaseThreads
from jobqueue.worker.in_hand import WORKER_STOPPED, InHand
from jobqueue.worker.left_alone import LeftAlone
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.memory import memory_in_use
from jobqueue.worker.options import EXIT_RETIRED, Options
from jobqueue.worker.parked import ParkedJobs
from jobqueue.worker.pauses import GrowingPauses
from jobqueue.worker.stop import Stop
from jobqueue.worker.telling import Teller
from jobqueue.worker.threads import STALLED_AFTER, JobThreads
from jobqueue.worker.unfit import UnfitJobs

logger = logging.getLogger(__name__)
# How often an idle executor looks without a bell: a token can be lost with its Redis, or with who took it.
_LOOK_EVERY = 1.0
_LOOK_AT_MEMORY_EVERY = 1.0
# While Redis or a database is away the pauses between two tries grow from one to the other.
_PAUSE_AFTER_ERROR = 1.0
_LONGEST_PAUSE = 4.0
_LOOK_AT_THREADS_EVERY = 0.02
_NO_THREAD_FREE = "handed back: no thread got free"
# Of so many jobs beyond those that run the outcomes may wait: each failure takes statements of its own,
# and what is claimed meanwhile outlives its time limit. Of 20,000 that failed at once all were claimed.
MOST_UNSETTLED = 1_024


@dataclass(frozen=True, slots=True)
class Claiming:
    """There may be more than the last claim could take: the next one follows as soon as there is room."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The last claim left nothing, so whatever there is now has rung."""

    until: float
    """The monotonic time when to look without a bell."""
    leaves_out: bool
    """Whether queues with limits were left out; where that changes, their bells may have been missed."""


@dataclass(frozen=True, slots=True)
class HeldBack(Waiting):
    """A limit let nothing go: there is work, though it cannot start yet."""


@dataclass(frozen=True, slots=True)
class Retiring:
    """The process gives way to a fresh one: the threads take up what was claimed, the rest goes back."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """No more is claimed. `code`: how the process is to exit."""

    code: int = 0


State = Claiming | Waiting | Retiring | Stopped


@dataclass
class ClaimLoop:
    """Claims what the free threads can take, and while jobs are short a few milliseconds of work more.

    What could not start in time goes back, so no executor hoards while another idles.
    """

    options: Options
    identity: Identity
    teller: Teller
    in_hand: InHand
    threads: JobThreads
    decisions: QueueDecisions
    unfit: UnfitJobs
    left_alone: LeftAlone
    affinity: Affinity
    stop: Stop
    slot: Slot

    def __post_init__(self) -> None:
        self._bell: Bell | None = None
        self.parked = ParkedJobs(self.identity, self.decisions, self.left_alone.threads, self.stop.wake.wake)
        self._pauses = GrowingPauses(_PAUSE_AFTER_ERROR, _LONGEST_PAUSE)
        self._memory = _MemoryGauge(self.options.max_memory)

    def run(self) -> int:
        """Claim until asked to stop, or until burst, max_jobs, max_idle_time or retirement end it.

        Returns the exit code.
        """
        state: State = Claiming()
        while not isinstance(state, Stopped):
            state = self._next(state)
        return state.code

    def _next(self, state: Claiming | Waiting | Retiring) -> State:
        if isinstance(state, Retiring):
            self._retire()
            return Stopped(EXIT_RETIRED)
        if self.stop.is_asked:
            return Stopped()
        if self.options.max_jobs is not None and self.in_hand.taken >= self.options.max_jobs:
            self.affinity.end()
            self.in_hand.wait_until_settled(gives_up=lambda: self.stop.is_asked)
            return Stopped()
        if _is_to_retire(self.options, self.in_hand.taken, self._memory):
            return Retiring()
        try:
            return self._fill(state)
        except OUTAGES as error:
            logger.warning("cannot claim jobs for now: %s: %s", type(error).__name__, error)
            close_broken_connections()
            self.in_hand.compare_soon()
            self.affinity.adapt(is_crowded=False)
            self.stop.wake.wait(self._pauses.after_failure())
            return state

    # Claim ----------------------------------------------------------------------------------------

    def _fill(self, state: Claiming | Waiting) -> State:
        """Have the threads run what there is, as far as there is room."""
        self.in_hand.compare(at_once=self.left_alone.look_again())
        room = self._wait_for_room()
        served, limited = self._served(), self.decisions.limits
        # Without room too: it says of what it could run that it is known.
        wanted = max(1, room // 2) if room > 0 else 0
        paused = [name for name in self.options.queues if name not in served]
        found = self.unfit.find(wanted, served, limited, self.decisions.processors, paused)
        if not room:
            self.affinity.adapt(is_crowded=False)
            return state
        if found:
            self.start(found)
        parked = self.parked.find(room - len(found), served, self.threads)
        if parked:
            self.start(parked)
        room -= len(found) + len(parked)
        if room <= 0:
            return state
        state, claims = self._claim(state, room)
        is_crowded = bool(claims) and isinstance(state, Claiming) and self.threads.are_jobs_short
        self.affinity.adapt(is_crowded=is_crowded)
        if claims:
            self.start(claims)
        elif self._is_done(state):
            return Stopped()
        return state

    def start(self, claims: list[Claim]) -> None:
        """Have the threads run these; what cannot be run here is handed on."""
        unfit = [(each, why) for each in claims if (why := why_unfit(each.job.processor, each.job.payload))]
        if unfit:
            strange = {each.key for each, _why in unfit}
            claims = [each for each in claims if each.key not in strange]
        if claims:
            self.in_hand.take(claims)
            self.threads.take(claims)
        if unfit:
            self.unfit.hand_on(unfit)

    def _served(self) -> list[str]:
        """The queues that are not paused, in order of priority."""
        return [name for name in self.options.queues if name not in self.decisions.paused]

    def _wait_for_room(self) -> int:
        """How many jobs may be claimed now; 0 after a moment without room."""
        room = self.threads.wait_for_room()
        if room:
            room = min(room, self.in_hand.wait_for_room(self.threads.count + MOST_UNSETTLED))
        if not room:
            # Whoever has room shall hear it.
            self._leave_bell()
            self._give_back_stalled()
        for most in (self.options.max_jobs, self.options.max_jobs_per_process):
            if most is not None:
                room = min(room, most - self.in_hand.taken)
        return room

    def _claim(self, state: Claiming | Waiting, room: int) -> tuple[Claiming | Waiting, list[Claim]]:
        """Claim from the queues that may be claimed from now, after a wait where there was nothing left."""
        served = self._served()
        if not served:
            self.stop.wake.wait(_LOOK_EVERY)
            return state, []
        asked = self._without_limited(served)
        leaves_out = len(asked) < len(served)
        if not asked:
            self.stop.wake.wait(STALLED_AFTER)
            return (replace(state, leaves_out=True) if isinstance(state, Waiting) else state), []
        if isinstance(state, Waiting) and state.leaves_out == leaves_out and not self.options.burst:
            self._wait_for_messages(asked, state.until)
            if self.stop.is_asked:
                return state, []
        limits, limited = self.decisions.limits, self.decisions.limited_here()
        wanted = Wanted(room, asked, limits, self.threads.free, limited)
        batch = claiming.claim(self.identity, wanted, self.teller, self.left_alone)
        self._pauses.reset()
        if batch.parked:
            self.parked.note_parked()
        return _state_after(batch, room, leaves_out), batch.jobs

    def _without_limited(self, served: list[str]) -> list[str]:
        """What may be claimed now: of queues with limits nothing while no thread is free, so their bells are
        left to executors that can start their jobs; a thread that gets free ends the wait.
        """
        limits = self.decisions.limits
        if self.threads.free or not any(name in limits for name in served):
            return served
        return [name for name in served if name not in limits] if self.threads.tell_when_free() else served

    def _wait_for_messages(self, queues: Sequence[str], until: float) -> None:
        # Blocks on a bell, not on the queues: a message is never out of Redis without a trace.
        timeout = min(until - time.monotonic(), self.parked.wait())
        if self.threads.unstarted:
            timeout = min(timeout, STALLED_AFTER)
        if self._bell is None or self._bell.names != tuple(queues):
            self._leave_bell()
            self._bell = Bell(queues)
        if not self._bell.wait(timeout, self.stop.wake.fileno()):
            self.stop.wake.clear()

    def _leave_bell(self) -> None:
        if self._bell is not None:
            self._bell.leave()

    def _give_back_stalled(self) -> None:
        stalled = self.threads.take_stalled()
        self.in_hand.give_back(stalled, WORKER_STOPPED if self.stop.is_asked else _NO_THREAD_FREE)

    # End ------------------------------------------------------------------------------------------

    def _is_done(self, state: Claiming | Waiting) -> bool:
        """Whether burst or max_idle_time end the work now that nothing could be claimed."""
        if isinstance(state, HeldBack):
            if self.options.burst:
                self.stop.wake.wait(state.until - time.monotonic())
            return False
        if self.parked.holds_back or not self.in_hand.is_empty:
            if self.options.burst:
                self.stop.wake.wait(0.01)
            return False
        if self.options.burst:
            return self.left_alone.is_empty and _is_nothing_due(self.left_alone.threads)
        idle = time.monotonic() - self.in_hand.last_work
        return self.options.max_idle_time is not None and idle >= self.options.max_idle_time

    def _retire(self) -> None:
        """Let the threads take up what was claimed, hand back what they do not get to, and give way."""
        while self.threads.unstarted and not self.stop.is_asked:
            self.stop.wake.wait(_LOOK_AT_THREADS_EVERY)
            try:
                self._give_back_stalled()
            except OUTAGES as error:
                logger.warning("cannot hand jobs back for now: %s: %s", type(error).__name__, error)
                close_broken_connections()
        self.slot.retiring(self.in_hand.taken)


def _state_after(batch: Batch, room: int, leaves_out: bool) -> Claiming | Waiting:
    """What a claim of `room` jobs leads to."""
    if len(batch.jobs) >= room or batch.parked:
        return Claiming()
    pause = _LOOK_EVERY if batch.pause is None else min(batch.pause, _LOOK_EVERY)
    is_held_back = not batch.jobs and batch.pause is not None
    return (HeldBack if is_held_back else Waiting)(time.monotonic() + pause, leaves_out)


def _is_nothing_due(claimers: DatabaseThreads) -> bool:
    """Whether no database has anything that is due; of one that hangs nobody knows."""
    published: list[int] = []
    is_known = claimers.each(lambda using: published.append(outbox.publish_due(using)))
    return is_known and not any(published)


class _MemoryGauge:
    """How much memory this process has in use, looked at every second."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._next_look = 0.0
        self.used = 0

    def is_too_much(self) -> bool:
        """Whether it is more than allowed; between two looks it is not."""
        if self._most is None or time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _LOOK_AT_MEMORY_EVERY
        self.used = memory_in_use()
        return self.used > self._most


def _is_to_retire(options: Options, taken: int, memory: _MemoryGauge) -> bool:
    """Whether this process has done its share, or grew too large, and gives way to a fresh one.

    Not before its first job: where the limit is too low for any process, jobs run all the same.
    """
    most = options.max_jobs_per_process
    if not taken:
        return False
    if most is not None and taken >= most:
        logger.info("executor of %s gives way after %d jobs", options.name, taken)
        return True
    if memory.is_too_much():
        logger.info("executor of %s gives way with %d MB in use", options.name, memory.used >> 20)
        return True
    return False
