"""One executor process: claims batches, has the jobs run in threads and the outcomes settled."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from django.db import connections

from jobqueue.broker.bell import Bell
from jobqueue.conf import get_settings
from jobqueue.delivery import outbox, rescue
from jobqueue.models import Job, Worker
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases
from jobqueue.worker import claiming, loops
from jobqueue.worker.board import Slot
from jobqueue.worker.claiming import Claim, Holder
from jobqueue.worker.cores import Affinity
from jobqueue.worker.in_hand import WORKER_STOPPED, hand_back
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.loops import Loop
from jobqueue.worker.options import (
    EXIT_BROKEN,
    EXIT_JOBS_LEFT,
    EXIT_RETIRED,
    EXIT_STUCK_JOB,
    STOP_SIGNALS,
    Options,
)
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.relay import Relay
from jobqueue.worker.settler import Settler
from jobqueue.worker.threads import STALLED_AFTER, JobThreads

logger = logging.getLogger(__name__)
# How often an idle executor looks without a bell: a token can be lost with its Redis, or with who took it.
_LOOK_EVERY = 1.0
# Seconds that settling and handing back may take after the shutdown time-out.
_STOP_WITHIN = 2.0
_LOOK_AT_MEMORY_EVERY = 1.0
_LOOK_AT_THREADS_EVERY = 0.02


@dataclass
class Executor:
    """Claims what its free threads can take, and while jobs are short a few milliseconds of work more.

    What could not start in time goes back, so no executor hoards while another idles.
    """

    options: Options
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    slot: Slot = field(default_factory=Slot)

    def __post_init__(self) -> None:
        options = self.options
        self.holder = Holder(self.id, options.name, options.queues)
        self._wake = loops.WakePipe()
        self._stop_asked = False
        self._stop_by: float | None = None
        self._unsettled: dict[tuple[str, int, int], Claim] = {}
        self._settled = threading.Condition()
        self._claim_count = 0
        # Whether the last claim left nothing, and until when to wait for a bell then.
        self._is_drained = False
        self._next_look = 0.0
        self._is_held_back = False
        self._are_left_out = False
        self._next_comparison = 0.0
        self._next_look_at_memory = 0.0
        self._last_work = time.monotonic()
        self._decisions = QueueDecisions()
        self._affinity = Affinity(options.core)
        self._bell: Bell | None = None
        self._relay = Relay(self.id.hex)
        self._loops: list[Loop] = []
        self._threads = JobThreads(
            options.threads,
            performing=self.slot.performing,
            performed=lambda outcome: self._settler.put(outcome),
            freed=self._wake.wake,
            guard=_or_end_process,
        )
        self._settler = Settler(
            self.holder,
            others_run=lambda: self._threads.in_hand > 0,
            settled=self._note_settled,
            guard=_or_end_process,
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
        self.slot.ready()
        code = 0
        try:
            code = self._claim_until_stopped()
        finally:
            code = self._shut_down(may_take_long=code == EXIT_RETIRED) or code
        return code

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        # Only a flag: raising here would drop a batch that was just claimed.
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.options.shutdown_timeout
        self._stop_asked = True
        self._wake.wake()

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
                for alias in databases():
                    loops.register(worker, alias)
                self._decisions.read()
                return True
            except OUTAGES as error:
                logger.warning("waiting for the database: %s: %s", type(error).__name__, error)
                close_broken_connections()
                self._wake.wait(1.0)
        return False

    def _start_threads(self, worker: Worker) -> None:
        self._loops = [
            Loop("heartbeat", loops.heartbeat(worker, self.slot.alive)),
            Loop("time limits", self._enforce_limits),
            Loop("relay", self._relay.look, wait=self._relay.wait, wake=self._relay.wake),
            Loop("rescue", loops.rescuer()),
            Loop("queue decisions", self._read_decisions),
        ]
        if self.options.reconciles and get_settings().reconcile_interval > 0 and not self.options.burst:
            self._loops.append(Loop("reconcile", loops.reconcile(), pause_after_error=30.0))
        self._threads.start()
        self._settler.start()
        for loop in self._loops:
            loop.start()

    def _read_decisions(self) -> float:
        if self._decisions.read():
            self._wake.wake()
        return QueueDecisions.READ_EVERY

    # Claim ----------------------------------------------------------------------------------------

    def _claim_until_stopped(self) -> int:
        while not self._stop_asked:
            if self.options.max_jobs is not None and self._claim_count >= self.options.max_jobs:
                self._affinity.end()
                self._wait_until_settled()
                return 0
            if self._is_to_retire():
                self._retire()
                return EXIT_RETIRED
            try:
                self._compare_claims()
                room = self._wait_for_room()
                if not room:
                    self._affinity.adapt(is_crowded=False)
                    continue
                claims = self._claim(room)
                is_crowded = bool(claims) and not self._is_drained and self._threads.are_jobs_short
                self._affinity.adapt(is_crowded=is_crowded)
                if not claims and self._is_done():
                    return 0
            except OUTAGES as error:
                logger.warning("cannot claim jobs for now: %s: %s", type(error).__name__, error)
                close_broken_connections()
                self._next_comparison = 0.0
                self._affinity.adapt(is_crowded=False)
                self._wake.wait(1.0)
                continue
            if claims:
                self._start(claims)
        return 0

    def _wait_for_room(self) -> int:
        """How many jobs may be claimed now; 0 after a moment without room."""
        room = self._threads.wait_for_room()
        if not room:
            if self._bell is not None:
                # Whoever has room shall hear it.
                self._bell.leave()
            self._give_back(self._threads.take_stalled())
        for most in (self.options.max_jobs, self.options.max_jobs_per_process):
            if most is not None:
                room = min(room, most - self._claim_count)
        return room

    def _is_to_retire(self) -> bool:
        """Whether this process has done its share, or grew too large, and gives way to a fresh one.

        Not before its first job: where the limit is too low for any process, jobs run all the same.
        """
        if not self._claim_count:
            return False
        most = self.options.max_jobs_per_process
        if most is not None and self._claim_count >= most:
            logger.info("executor of %s gives way after %d jobs", self.options.name, self._claim_count)
            return True
        if self.options.max_memory is None or time.monotonic() < self._next_look_at_memory:
            return False
        self._next_look_at_memory = time.monotonic() + _LOOK_AT_MEMORY_EVERY
        used = memory_in_use()
        if used > self.options.max_memory:
            logger.info("executor of %s gives way with %d MB in use", self.options.name, used >> 20)
            return True
        return False

    def _retire(self) -> None:
        """Let the threads take up what was claimed, hand back what they do not get to, and give way."""
        while self._threads.unstarted and not self._stop_asked:
            self._wake.wait(_LOOK_AT_THREADS_EVERY)
            try:
                self._give_back(self._threads.take_stalled())
            except OUTAGES as error:
                logger.warning("cannot hand jobs back for now: %s: %s", type(error).__name__, error)
                close_broken_connections()
        self.slot.retiring(self._claim_count)

    def _compare_claims(self) -> None:
        """Hand back what is ours by its row and runs nowhere: the answer to its claim was lost on the way.

        Called between two claims, when every job that was claimed in order is among the unsettled.
        """
        if time.monotonic() < self._next_comparison:
            return
        self._next_comparison = time.monotonic() + get_settings().heartbeat_interval
        with self._settled:
            known = set(self._unsettled)
        for alias in databases():
            rows = Job.objects.using(alias).held_by(self.id)
            strays = [claimed for job in rows if (claimed := Claim(job, alias)).key not in known]
            self._hand_back(strays, "handed back: its worker did not hear of its claim")

    def _claim(self, room: int) -> list[Claim]:
        decisions = self._decisions
        served = [name for name in self.options.queues if name not in decisions.paused]
        if not served:
            self._wake.wait(_LOOK_EVERY)
            return []
        asked = self._without_limited(served)
        if not asked:
            self._are_left_out = True
            self._wake.wait(STALLED_AFTER)
            return []
        were_left_out, self._are_left_out = self._are_left_out, len(asked) < len(served)
        if self._is_drained and not self.options.burst and were_left_out == self._are_left_out:
            # Nothing was left, so whatever there is now has rung.
            timeout = self._next_look - time.monotonic()
            self._wait_for_messages(
                asked, min(timeout, STALLED_AFTER) if self._threads.unstarted else timeout
            )
            if self._stop_asked:
                return []
        claims, pause = claiming.claim_within(decisions.limits, self.holder, room, asked, self._threads.free)
        self._is_drained = len(claims) < room
        self._next_look = time.monotonic() + (_LOOK_EVERY if pause is None else min(pause, _LOOK_EVERY))
        self._is_held_back = not claims and pause is not None
        if self._is_held_back and self.options.burst:
            self._wake.wait(self._next_look - time.monotonic())
        return claims

    def _without_limited(self, served: list[str]) -> list[str]:
        """What may be claimed now: of queues with limits nothing while no thread is free, so their bells are
        left to executors that can start their jobs; a thread that gets free ends the wait.
        """
        limits = self._decisions.limits
        if self._threads.free or not any(name in limits for name in served):
            return served
        return [name for name in served if name not in limits] if self._threads.tell_when_free() else served

    def _wait_for_messages(self, served: Sequence[str], timeout: float) -> None:
        # Blocks on a bell, not on the queues: a message is never out of Redis without a trace.
        if self._bell is None or self._bell.names != tuple(served):
            if self._bell is not None:
                self._bell.leave()
            self._bell = Bell(served)
        if not self._bell.wait(timeout, self._wake.fileno()):
            self._wake.clear()

    def _start(self, claims: list[Claim]) -> None:
        self._claim_count += len(claims)
        self._last_work = time.monotonic()
        with self._settled:
            for claimed in claims:
                self._unsettled[claimed.key] = claimed
            self.slot.running(len(self._unsettled))
        self._threads.take(claims)

    def _is_busy(self) -> bool:
        with self._settled:
            return bool(self._unsettled)

    def _wait_until_settled(self) -> None:
        while self._is_busy() and not self._stop_asked:
            with self._settled:
                self._settled.wait(0.2)

    def _is_done(self) -> bool:
        """Whether burst or max_idle_time end the work now that nothing could be claimed."""
        if self._is_busy():
            if self.options.burst:
                self._wake.wait(0.01)
            return False
        if self._is_held_back:
            return False
        if self.options.burst:
            return not any(outbox.publish_due(alias) for alias in databases())
        idle = time.monotonic() - self._last_work
        return self.options.max_idle_time is not None and idle >= self.options.max_idle_time

    # Outcomes -------------------------------------------------------------------------------------

    def _note_settled(self, outcomes: list[Outcome], settled: list[Outcome]) -> None:
        if len(settled) < len(outcomes):
            logger.warning(
                "%d jobs had been taken from this worker; nothing was changed", len(outcomes) - len(settled)
            )
        failed = sum(outcome.failure is not None for outcome in settled)
        with self._settled:
            for outcome in outcomes:
                self._unsettled.pop((outcome.using, outcome.job.pk, outcome.job.attempt), None)
            self.slot.running(len(self._unsettled))
            self._settled.notify_all()
        self.slot.settled(len(settled) - failed, failed)
        self._last_work = time.monotonic()
        if any(outcome.status == OutcomeStatus.RETRIED for outcome in settled):
            self._relay.have_leader_look()

    def _enforce_limits(self) -> float:
        if self._stop_by is not None and time.monotonic() >= self._stop_by + _STOP_WITHIN:
            logger.warning("Redis or the database does not answer; not waiting for it any longer")
            os._exit(EXIT_JOBS_LEFT)
        limits = self._threads.limits
        limits.enforce()
        overrun = limits.overrun(get_settings().timeout_grace)
        if overrun:
            self._end_for_stuck_jobs(overrun)
        return 0.1

    def _end_for_stuck_jobs(self, stuck: list[Job]) -> None:
        """A thread that does not take JobTimeout cannot be stopped, only its process can."""
        keys = {(job._state.db, job.pk) for job in stuck}
        with self._settled:
            claims = list(self._unsettled.values())
        for claimed in claims:
            if (claimed.using, claimed.job.pk) in keys:
                logger.error("job %d ran past its time limit and could not be stopped", claimed.job.pk)
                rescue.interrupt(
                    claimed.job, claimed.using, "ran past its time limit and could not be stopped"
                )
        if not self._has_supervisor():
            self._hand_back([claim for claim in claims if (claim.using, claim.job.pk) not in keys])
        os._exit(EXIT_STUCK_JOB)

    def _has_supervisor(self) -> bool:
        """Whether somebody hands the jobs back once this process, and with it every job, has ended."""
        return self.options.supervisor is not None and self.options.supervisor == os.getppid()

    # Shutdown -------------------------------------------------------------------------------------

    def _shut_down(self, may_take_long: bool = False) -> int:
        """Let running jobs finish, hand the rest back, leave no trace.

        They get the shutdown time-out; a process that retires, with another in its place, lets them take
        as long as their own limits allow, unless it is asked to stop meanwhile.
        """
        started = time.monotonic()
        self._affinity.end()
        try:
            self._give_back(self._threads.take_unstarted())
        except OUTAGES as error:
            logger.warning("the rescue will bring jobs back: %s: %s", type(error).__name__, error)
        if self._is_busy() and not may_take_long:
            logger.info("stopping: running jobs may finish within %g s", self.options.shutdown_timeout)
        with self._settled:
            while self._unsettled:
                deadline = self._stop_by or started + self.options.shutdown_timeout
                is_late = time.monotonic() >= deadline and not (may_take_long and self._stop_by is None)
                if is_late:
                    break
                self._settled.wait(0.2)
        self._settler.stop(timeout=1.0)
        with self._settled:
            left = list(self._unsettled.values())
        if left and self._has_supervisor():
            # While they run on here nobody else must start them.
            return EXIT_JOBS_LEFT
        try:
            self._hand_back(left)
            for loop in self._loops:
                loop.stop()
            self._relay.give_up_the_lead()
            for alias in databases():
                Worker.objects.using(alias).filter(pk=self.id).delete()
        except OUTAGES as error:
            # Then the rescue of another worker brings them back.
            logger.warning("could not hand %d jobs back: %s: %s", len(left), type(error).__name__, error)
        return 0

    def _give_back(self, unstarted: list[Claim]) -> None:
        if not unstarted:
            return
        self._claim_count -= len(unstarted)
        # First let go: should it fail now, they are strays, which are handed back later.
        with self._settled:
            for claimed in unstarted:
                self._unsettled.pop(claimed.key, None)
            self.slot.running(len(self._unsettled))
            self._settled.notify_all()
        self._hand_back(unstarted, WORKER_STOPPED if self._stop_asked else "handed back: no thread got free")

    def _hand_back(self, claims: list[Claim], reason: str = WORKER_STOPPED) -> None:
        if claims:
            logger.info("handing %d jobs back", len(claims))
            hand_back(claims, self.id, reason)


def memory_in_use() -> int:
    """Bytes of memory that this process has in use; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _keep_connections() -> None:
    """A job thread keeps its connection from job to job, whatever CONN_MAX_AGE says for requests."""
    for alias in connections:
        connections.settings[alias]["CONN_MAX_AGE"] = None


def _or_end_process(body: Callable[[], None]) -> Callable[[], None]:
    """A thread that fails takes its process along: the supervisor then brings its jobs back."""

    def run() -> None:
        try:
            body()
        except BaseException:
            logger.exception("the thread %r failed; this executor ends", threading.current_thread().name)
            os._exit(EXIT_BROKEN)

    return run
