"""One executor process: claims batches, runs the jobs in threads, settles the outcomes."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from django.db import connections
from django.db.models.functions import Now

from jobqueue import execution, loops, outbox, queues, rescue
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.execution import Claim, Claimant, Outcome, OutcomeStatus
from jobqueue.loops import OUTAGES, Loop
from jobqueue.models import Job, Queue, Worker
from jobqueue.queues import Message
from jobqueue.time_limit import TimeLimits

logger = logging.getLogger("jobqueue.executor")

EXIT_STUCK_JOB = 70
_SETTLE_AT_ONCE = 64
_WAIT_FOR_BELL = 1.0
_CLOSE_IDLE_CONNECTIONS_AFTER = 30.0
_CHECK_CONNECTIONS_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How an executor works."""

    name: str
    queues: Sequence[str]
    threads: int
    shutdown_timeout: float
    burst: bool = False
    max_jobs: int | None = None
    max_idle_time: float | None = None
    reconciles: bool = True


@dataclass
class Tally:
    """What an executor tells its supervisor, in memory both share."""

    running: Callable[[int], None] = lambda _count: None
    settled: Callable[[int, int], None] = lambda _completed, _failed: None
    ready: Callable[[], None] = lambda: None


@dataclass
class Executor:
    """Claims no more jobs than it has free threads, so no executor hoards while another idles."""

    options: Options
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        options = self.options
        self.claimant = Claimant(self.id, options.name, options.queues)
        self._limits = TimeLimits()
        self._claimed: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(options.threads)
        self._stop_asked = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._unsettled: dict[tuple[str, int, int], Claim] = {}
        self._unsettled_lock = threading.Lock()
        self._claim_count = 0
        self._last_work = time.monotonic()
        self._loops: list[Loop] = []
        self._settler = threading.Thread(target=self._settle_outcomes, name="settler", daemon=True)

    # Life -----------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until asked to stop, or until burst, max_jobs or max_idle_time end it; the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask_to_stop)
        _keep_connections()
        worker = self._worker_row()
        for alias in outbox.databases():
            loops.register(worker, alias)
        self._start_threads(worker)
        self.tally.ready()
        try:
            self._claim_until_stopped()
        finally:
            self._shut_down()
        return 0

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        # Only a flag: raising here would drop a batch that was just claimed.
        self._stop_asked = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _worker_row(self) -> Worker:
        return Worker(
            id=self.id,
            name=self.options.name,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self.options.queues),
            threads=self.options.threads,
        )

    def _start_threads(self, worker: Worker) -> None:
        self._relay = Loop("relay", loops.relay())
        self._loops = [
            Loop("heartbeat", loops.heartbeat(worker)),
            Loop("time limits", self._enforce_limits),
            self._relay,
            Loop("rescue", loops.rescuer()),
        ]
        if self.options.reconciles and get_settings().reconcile_interval > 0 and not self.options.burst:
            self._loops.append(Loop("reconcile", loops.reconcile(), pause_after_error=30.0))
        for number in range(self.options.threads):
            threading.Thread(target=self._perform_claims, name=f"job {number}", daemon=True).start()
        self._settler.start()
        for loop in self._loops:
            loop.start()

    # Claim ----------------------------------------------------------------------------------------

    def _claim_until_stopped(self) -> None:
        while not self._stop_asked:
            room = self._wait_for_room()
            if not room:
                continue
            try:
                claims = self._claim(room)
            except OUTAGES as error:
                self._free.release(room)
                logger.warning("cannot claim jobs for now: %s: %s", type(error).__name__, error)
                loops.close_broken_connections()
                self._pause(1.0)
                continue
            if room > len(claims):
                self._free.release(room - len(claims))
            if claims:
                self._start(claims)
                if self.options.max_jobs is not None and self._claim_count >= self.options.max_jobs:
                    return
            elif self._is_done():
                return

    def _wait_for_room(self) -> int:
        """Take the free threads, at least one; 0 if none is free for a moment."""
        if not self._free.acquire(timeout=0.5):
            return 0
        room = 1
        most = self.options.threads
        if self.options.max_jobs is not None:
            most = min(most, self.options.max_jobs - self._claim_count)
        while room < most and self._free.acquire(blocking=False):
            room += 1
        return room

    def _claim(self, room: int) -> list[Claim]:
        served = self._served_queues()
        if not served:
            self._pause(_WAIT_FOR_BELL)
            return []
        claims = execution.claim(self.claimant, room, served)
        if not claims and not self.options.burst and not self._stop_asked:
            # Blocks on a bell, not on the queues: a message is never out of Redis without a trace.
            queues.wait_for_messages(served, _WAIT_FOR_BELL)
        return claims

    def _served_queues(self) -> list[str]:
        paused = set(Queue.objects.filter(paused=True).values_list("name", flat=True))
        return [name for name in self.options.queues if name not in paused]

    def _start(self, claims: list[Claim]) -> None:
        self._claim_count += len(claims)
        self._last_work = time.monotonic()
        with self._unsettled_lock:
            for claimed in claims:
                self._unsettled[_key(claimed)] = claimed
            self.tally.running(len(self._unsettled))
        for claimed in claims:
            self._claimed.put(claimed)

    def _is_done(self) -> bool:
        """Whether burst or max_idle_time end the work now that nothing could be claimed."""
        with self._unsettled_lock:
            busy = bool(self._unsettled)
        if busy:
            if self.options.burst:
                self._pause(0.01)
            return False
        if self.options.burst:
            return not any(outbox.publish_due(alias) for alias in outbox.databases())
        idle = time.monotonic() - self._last_work
        return self.options.max_idle_time is not None and idle >= self.options.max_idle_time

    def _pause(self, seconds: float) -> None:
        select.select([self._wake_read], [], [], seconds)

    # Perform and settle ---------------------------------------------------------------------------

    def _perform_claims(self) -> None:
        """Body of a job thread."""
        idle_since = time.monotonic()
        while True:
            try:
                claimed = self._claimed.get(timeout=_CLOSE_IDLE_CONNECTIONS_AFTER)
            except queue.Empty:
                connections.close_all()
                continue
            if claimed is None:
                return
            if time.monotonic() - idle_since > _CHECK_CONNECTIONS_AFTER:
                loops.close_broken_connections()
            self._outcomes.put(execution.perform(claimed, self._limits.limit))
            self._free.release()
            _leave_no_transaction()
            idle_since = time.monotonic()

    def _settle_outcomes(self) -> None:
        """Body of the settler thread: whatever is there is settled together, a lone outcome at once."""
        while True:
            batch = [self._outcomes.get()]
            while len(batch) < _SETTLE_AT_ONCE:
                try:
                    batch.append(self._outcomes.get_nowait())
                except queue.Empty:
                    break
            outcomes = [outcome for outcome in batch if outcome is not None]
            self._settle_until_written(outcomes)
            if len(outcomes) < len(batch):
                connections.close_all()
                return

    def _settle_until_written(self, outcomes: list[Outcome]) -> None:
        while outcomes:
            try:
                settled = execution.settle(outcomes, self.claimant)
            except Exception as error:
                # The jobs stay ours as long as the heartbeat can be written; without it they are rescued.
                logger.warning(
                    "cannot settle %d jobs for now: %s: %s", len(outcomes), type(error).__name__, error
                )
                loops.close_broken_connections()
                time.sleep(0.5)
                continue
            self._note_settled(outcomes, settled)
            return

    def _note_settled(self, outcomes: list[Outcome], settled: list[Outcome]) -> None:
        if len(settled) < len(outcomes):
            logger.warning(
                "%d jobs had been taken from this worker; nothing was changed", len(outcomes) - len(settled)
            )
        if any(outcome.status == OutcomeStatus.RETRIED for outcome in settled):
            self._relay.wake()
        failed = sum(outcome.failure is not None for outcome in settled)
        with self._unsettled_lock:
            for outcome in outcomes:
                self._unsettled.pop((outcome.database, outcome.job.pk, outcome.job.attempt), None)
            self.tally.running(len(self._unsettled))
        self.tally.settled(len(settled) - failed, failed)

    def _enforce_limits(self) -> float:
        self._limits.enforce()
        overrun = self._limits.overrun(get_settings().timeout_grace)
        if overrun:
            self._end_for_stuck_jobs(overrun)
        return 0.1

    def _end_for_stuck_jobs(self, stuck: list[Job]) -> None:
        """A thread that does not take JobTimeout cannot be stopped, only its process can."""
        ids = {job.pk for job in stuck}
        with self._unsettled_lock:
            claims = list(self._unsettled.values())
        for claimed in claims:
            if claimed.job.pk in ids:
                logger.error("job %d ran past its time limit and could not be stopped", claimed.job.pk)
                rescue.interrupt(
                    claimed.job, claimed.database, "ran past its time limit and could not be stopped"
                )
        self._hand_back([claimed for claimed in claims if claimed.job.pk not in ids])
        os._exit(EXIT_STUCK_JOB)

    # Shutdown -------------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Let running jobs finish for the shutdown time-out, hand the rest back, leave no trace."""
        deadline = time.monotonic() + self.options.shutdown_timeout
        for _ in range(self.options.threads):
            if not self._free.acquire(timeout=max(0.0, deadline - time.monotonic())):
                break
        self._outcomes.put(None)
        self._settler.join(timeout=max(1.0, deadline - time.monotonic()))
        with self._unsettled_lock:
            left = list(self._unsettled.values())
        try:
            self._hand_back(left)
            for loop in self._loops:
                loop.stop()
            for alias in outbox.databases():
                Worker.objects.using(alias).filter(pk=self.id).delete()
        except OUTAGES as error:
            # Then the rescue of another worker brings them back.
            logger.warning("could not hand %d jobs back: %s: %s", len(left), type(error).__name__, error)

    def _hand_back(self, claims: list[Claim]) -> None:
        if claims:
            logger.info("handing %d jobs back", len(claims))
        hand_back(claims, self.id)


def hand_back(claims: Sequence[Claim], worker_id: uuid.UUID) -> int:
    """Put jobs of this worker back on the road without using up an attempt. Returns how many."""
    messages: list[Message] = []
    for claimed in claims:
        job = claimed.job
        changed = (
            Job.objects.using(claimed.database)
            .filter(pk=job.pk, attempt=job.attempt, worker_id=worker_id, state=Job.State.ACTIVE)
            .update(
                state=Job.State.WAITING,
                worker=None,
                published_at=None,
                run_at=Now(),
                reason="handed back: its worker stopped",
            )
        )
        if changed:
            messages.append(outbox.message_of(job, claimed.database))
    try:
        queues.finish([(message, False) for message in messages], worker_id.hex)
        for alias in {claimed.database for claimed in claims}:
            outbox.publish_due(alias)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d jobs handed back: %s", len(messages), error)
    return len(messages)


def _key(claimed: Claim) -> tuple[str, int, int]:
    return claimed.database, claimed.job.pk, claimed.job.attempt


def _keep_connections() -> None:
    """A job thread keeps its connection from job to job, whatever CONN_MAX_AGE says for requests."""
    for alias in connections:
        connections.settings[alias]["CONN_MAX_AGE"] = None


def _leave_no_transaction() -> None:
    """A job that left a transaction open, or a broken connection, must not pass it on to the next."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block or not connection.get_autocommit():
            connection.close()
        elif connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
