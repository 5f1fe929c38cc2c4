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
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType

from django.db import DataError, IntegrityError, connections
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
EXIT_JOBS_LEFT = 71
EXIT_BROKEN = 72
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SETTLE_AT_ONCE = 128
# While other jobs run, outcomes wait this long for company; a lone one is settled at once.
_SETTLE_WITHIN = 0.004
# Beyond its free threads an executor takes short jobs worth this many seconds, at most so many jobs ...
_AHEAD_SECONDS = 0.01
_AHEAD_JOBS = 64
# ... and gives back those that could not start within this time, because long ones keep the threads.
_STALLED_AFTER = 0.1
_LOOK_AT_PAUSES_EVERY = 0.5
_WAIT_FOR_BELL = 1.0
# Seconds that settling and handing back may take after the shutdown time-out.
_STOP_WITHIN = 2.0
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
    supervisor: int | None = None
    """Process id of the supervisor that hands back what an ended executor left; None if there is none."""


@dataclass
class Tally:
    """What an executor tells its supervisor, in memory both share."""

    running: Callable[[int], None] = lambda _count: None
    performing: Callable[[int, int], None] = lambda _thread, _job_id: None
    settled: Callable[[int, int], None] = lambda _completed, _failed: None
    ready: Callable[[], None] = lambda: None


@dataclass
class Executor:
    """Claims what its free threads can take, and while jobs are short a few milliseconds of work more.

    What could not start in time goes back, so no executor hoards while another idles.
    """

    options: Options
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        options = self.options
        self.claimant = Claimant(self.id, options.name, options.queues)
        self._limits = TimeLimits()
        self._claimed: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._stop_asked = False
        self._stop_by: float | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._unsettled: dict[tuple[str, int, int], Claim] = {}
        self._unsettled_lock = threading.Lock()
        self._settled = threading.Condition(self._unsettled_lock)
        # Claimed and not performed yet, waiting for a thread or running.
        self._in_hand = 0
        self._in_hand_changed = threading.Condition()
        self._wanted_below = 1
        self._average_seconds = 1.0
        self._last_performed = time.monotonic()
        self._paused: frozenset[str] = frozenset()
        self._paused_known_until = 0.0
        self._claim_count = 0
        self._next_look_for_strays = 0.0
        self._last_work = time.monotonic()
        self._loops: list[Loop] = []
        self._settler = threading.Thread(
            target=_or_end_process(self._settle_outcomes), name="settler", daemon=True
        )

    # Life -----------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until asked to stop, or until burst, max_jobs or max_idle_time end it; the exit code."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._ask_to_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        _keep_connections()
        worker = self._worker_row()
        if not self._register(worker):
            return 0
        self._start_threads(worker)
        self.tally.ready()
        try:
            self._claim_until_stopped()
        finally:
            code = self._shut_down()
        return code

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        # Only a flag: raising here would drop a batch that was just claimed.
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.options.shutdown_timeout
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

    def _register(self, worker: Worker) -> bool:
        """Write the worker's row, however long the database is away; False if asked to stop meanwhile."""
        while not self._stop_asked:
            try:
                for alias in outbox.databases():
                    loops.register(worker, alias)
                return True
            except OUTAGES as error:
                logger.warning("waiting for the database: %s: %s", type(error).__name__, error)
                loops.close_broken_connections()
                self._pause(1.0)
        return False

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
            body = _or_end_process(partial(self._perform_claims, number))
            threading.Thread(target=body, name=f"job {number}", daemon=True).start()
        self._settler.start()
        for loop in self._loops:
            loop.start()

    # Claim ----------------------------------------------------------------------------------------

    def _claim_until_stopped(self) -> None:
        while not self._stop_asked:
            if self.options.max_jobs is not None and self._claim_count >= self.options.max_jobs:
                self._wait_until_settled()
                return
            try:
                room = self._wait_for_room()
                if not room:
                    continue
                self._hand_back_strays()
                claims = self._claim(room)
            except OUTAGES as error:
                logger.warning("cannot claim jobs for now: %s: %s", type(error).__name__, error)
                loops.close_broken_connections()
                self._pause(1.0)
                continue
            if claims:
                self._start(claims)
            elif self._is_done():
                return

    def _wait_for_room(self) -> int:
        """How many jobs may be claimed now: the free threads, and some more while jobs are short.

        0 after a moment without room, so that the loop looks whether it is to stop.
        """
        ahead = self._ahead()
        capacity = self.options.threads + ahead
        with self._in_hand_changed:
            # Not for every thread that gets free: half of what is ahead makes a batch.
            self._wanted_below = max(1, capacity - ahead // 2)
            if self._in_hand >= self._wanted_below:
                self._in_hand_changed.wait(_STALLED_AFTER)
            room = capacity - self._in_hand if self._in_hand < self._wanted_below else 0
        if not room:
            self._give_back_what_stalls()
        if self.options.max_jobs is not None:
            room = min(room, self.options.max_jobs - self._claim_count)
        return room

    def _ahead(self) -> int:
        """How many jobs to hold beyond the threads: a few milliseconds of work, none while jobs are long."""
        short_jobs = self.options.threads * _AHEAD_SECONDS / max(self._average_seconds, 1e-5)
        return min(_AHEAD_JOBS, int(short_jobs)) if self._average_seconds < _AHEAD_SECONDS else 0

    def _give_back_what_stalls(self) -> None:
        """No thread got free for a while: claimed jobs that could not start go to whoever is idle."""
        if time.monotonic() - self._last_performed < _STALLED_AFTER:
            return
        stalled = self._take_unstarted()
        if stalled:
            self._average_seconds = 1.0
            self._give_back(stalled)

    def _hand_back_strays(self) -> None:
        """Hand back what is ours by its row and runs nowhere: the answer to its claim was lost on the way.

        Called between two claims, when every job that was claimed in order is among the unsettled.
        """
        if time.monotonic() < self._next_look_for_strays:
            return
        self._next_look_for_strays = time.monotonic() + get_settings().heartbeat_interval
        with self._unsettled_lock:
            known = set(self._unsettled)
        for alias in outbox.databases():
            rows = Job.objects.using(alias).active().filter(worker_id=self.id)
            claims = [Claim(job, alias) for job in rows]
            self._hand_back([claimed for claimed in claims if _key(claimed) not in known])

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
        now = time.monotonic()
        if now >= self._paused_known_until:
            self._paused = frozenset(Queue.objects.filter(paused=True).values_list("name", flat=True))
            self._paused_known_until = now + _LOOK_AT_PAUSES_EVERY
        return [name for name in self.options.queues if name not in self._paused]

    def _start(self, claims: list[Claim]) -> None:
        self._claim_count += len(claims)
        self._last_work = time.monotonic()
        with self._in_hand_changed:
            if not self._in_hand:
                self._last_performed = self._last_work
            self._in_hand += len(claims)
        with self._unsettled_lock:
            for claimed in claims:
                self._unsettled[_key(claimed)] = claimed
            self.tally.running(len(self._unsettled))
        for claimed in claims:
            self._claimed.put(claimed)

    def _is_busy(self) -> bool:
        with self._unsettled_lock:
            return bool(self._unsettled)

    def _wait_until_settled(self) -> None:
        while self._is_busy() and not self._stop_asked:
            with self._settled:
                self._settled.wait(0.2)

    def _is_done(self) -> bool:
        """Whether burst or max_idle_time end the work now that nothing could be claimed."""
        if self._is_busy():
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

    def _perform_claims(self, thread: int) -> None:
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
            self.tally.performing(thread, claimed.job.pk)
            outcome = execution.perform(claimed, self._limits.limit)
            _leave_no_transaction()
            self._note_performed(outcome)
            self._outcomes.put(outcome)
            idle_since = time.monotonic()

    def _note_performed(self, outcome: Outcome) -> None:
        with self._in_hand_changed:
            self._in_hand -= 1
            # Follows a change within a few jobs, and is not thrown off by one.
            self._average_seconds += 0.1 * (outcome.seconds - self._average_seconds)
            self._last_performed = time.monotonic()
            if self._in_hand < self._wanted_below:
                self._in_hand_changed.notify()

    def _settle_outcomes(self) -> None:
        """Body of the settler thread: whatever is there is settled together, a lone outcome at once."""
        is_last = False
        while not is_last:
            batch = self._next_batch()
            outcomes = [outcome for outcome in batch if outcome is not None]
            is_last = len(outcomes) < len(batch)
            self._settle_until_written(outcomes)
        connections.close_all()

    def _next_batch(self) -> list[Outcome | None]:
        batch = [self._outcomes.get()]
        deadline = time.monotonic() + _SETTLE_WITHIN
        while len(batch) < _SETTLE_AT_ONCE and batch[-1] is not None:
            try:
                # Others run, so more will come; when nothing runs, what is there is all there is.
                left = max(0.0, deadline - time.monotonic()) if self._in_hand else 0.0
                batch.append(self._outcomes.get(timeout=left) if left else self._outcomes.get_nowait())
            except queue.Empty:
                break
        return batch

    def _settle_until_written(self, outcomes: list[Outcome]) -> None:
        while outcomes:
            try:
                settled = execution.settle(outcomes, self.claimant)
            except (DataError, IntegrityError) as error:
                # No outage: the database refuses one of them, which must not hold up the others.
                if len(outcomes) == 1:
                    outcomes = [self._refused(outcomes[0], error)]
                    continue
                for outcome in outcomes:
                    self._settle_until_written([outcome])
                return
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

    def _refused(self, outcome: Outcome, error: Exception) -> Outcome:
        """What is written instead of an outcome that the database refuses: failed, and nothing else."""
        logger.error("the outcome of job %d is refused by the database: %s", outcome.job.pk, error)
        reason = f"its outcome ({outcome.status}) was refused by the database: {error}"
        if outcome.failure is None and outcome.status == OutcomeStatus.FAILED:
            time.sleep(0.5)
        return replace(outcome, status=OutcomeStatus.FAILED, reason=reason, delay=None, failure=None)

    def _note_settled(self, outcomes: list[Outcome], settled: list[Outcome]) -> None:
        if len(settled) < len(outcomes):
            logger.warning(
                "%d jobs had been taken from this worker; nothing was changed", len(outcomes) - len(settled)
            )
        if any(outcome.status == OutcomeStatus.RETRIED for outcome in settled):
            self._relay.wake()
        failed = sum(outcome.failure is not None for outcome in settled)
        with self._settled:
            for outcome in outcomes:
                self._unsettled.pop((outcome.database, outcome.job.pk, outcome.job.attempt), None)
            self.tally.running(len(self._unsettled))
            self._settled.notify_all()
        self.tally.settled(len(settled) - failed, failed)
        self._last_work = time.monotonic()

    def _enforce_limits(self) -> float:
        if self._stop_by is not None and time.monotonic() >= self._stop_by + _STOP_WITHIN:
            logger.warning("Redis or the database does not answer; not waiting for it any longer")
            os._exit(EXIT_JOBS_LEFT)
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
        if not self._has_supervisor():
            self._hand_back([claimed for claimed in claims if claimed.job.pk not in ids])
        os._exit(EXIT_STUCK_JOB)

    def _has_supervisor(self) -> bool:
        """Whether somebody hands the jobs back once this process, and with it every job, has ended."""
        return self.options.supervisor is not None and self.options.supervisor == os.getppid()

    # Shutdown -------------------------------------------------------------------------------------

    def _shut_down(self) -> int:
        """Let running jobs finish for the shutdown time-out, hand the rest back, leave no trace."""
        deadline = self._stop_by or time.monotonic() + self.options.shutdown_timeout
        try:
            self._give_back(self._take_unstarted())
        except OUTAGES as error:
            logger.warning("the rescue will bring jobs back: %s: %s", type(error).__name__, error)
        if self._is_busy():
            logger.info("stopping: running jobs may finish within %g s", self.options.shutdown_timeout)
        with self._settled:
            self._settled.wait_for(lambda: not self._unsettled, max(0.0, deadline - time.monotonic()))
        self._outcomes.put(None)
        self._settler.join(timeout=1.0)
        with self._unsettled_lock:
            left = list(self._unsettled.values())
        if left and self._has_supervisor():
            # While they run on here nobody else must start them.
            return EXIT_JOBS_LEFT
        try:
            self._hand_back(left)
            for loop in self._loops:
                loop.stop()
            for alias in outbox.databases():
                Worker.objects.using(alias).filter(pk=self.id).delete()
        except OUTAGES as error:
            # Then the rescue of another worker brings them back.
            logger.warning("could not hand %d jobs back: %s: %s", len(left), type(error).__name__, error)
        return 0

    def _take_unstarted(self) -> list[Claim]:
        """Claimed jobs that no thread took up yet; none will any more."""
        unstarted: list[Claim] = []
        with contextlib.suppress(queue.Empty):
            while (claimed := self._claimed.get_nowait()) is not None:
                unstarted.append(claimed)
        return unstarted

    def _give_back(self, unstarted: list[Claim]) -> None:
        self._claim_count -= len(unstarted)
        # First let go: should it fail now, they are strays, which are handed back later.
        self._let_go(unstarted)
        self._hand_back(unstarted)

    def _let_go(self, claims: list[Claim]) -> None:
        with self._settled:
            for claimed in claims:
                self._unsettled.pop(_key(claimed), None)
            self.tally.running(len(self._unsettled))
            self._settled.notify_all()
        with self._in_hand_changed:
            self._in_hand -= len(claims)

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
    if not messages:
        return 0
    try:
        # A Redis that hangs must not hold up the shutdown; the relay of any worker does the rest.
        queues.ping()
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
        if connection.connection is None:
            continue  # closed: to ask it anything would open it, which fails while the database is away
        if connection.in_atomic_block:
            # Django cannot use it again; the next job gets a new one.
            connection.close()
            del connections[connection.alias]
        elif not connection.autocommit:
            connection.close()
        elif connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


def _or_end_process(body: Callable[[], None]) -> Callable[[], None]:
    """A thread that fails takes its process along: the supervisor then brings its jobs back."""

    def run() -> None:
        try:
            body()
        except BaseException:
            logger.exception("the thread %r failed; this executor ends", threading.current_thread().name)
            os._exit(EXIT_BROKEN)

    return run
