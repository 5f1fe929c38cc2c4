"""One executor process: puts together the threads that claim, run and settle jobs, and ends them in order."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import connections

from jobqueue import __version__
from jobqueue.conf import get_settings
from jobqueue.models import Job, Worker
from jobqueue.sql.databases import OUTAGES, close_broken_connections
from jobqueue.sql.writing import wait_for_locks_in_this_process
from jobqueue.worker import children, log_lines, logs, loops, processes, stuck_jobs
from jobqueue.worker.board import Slot
from jobqueue.worker.bulk_walker import BulkWalker
from jobqueue.worker.chart_folder import folder
from jobqueue.worker.claim_loop import ClaimLoop
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.cores import Affinity
from jobqueue.worker.database_threads import DatabaseThreads
from jobqueue.worker.in_hand import WORKER_STOPPED, InHand
from jobqueue.worker.left_alone import LeftAlone
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.loops import Loop
from jobqueue.worker.neighbours import Neighbours
from jobqueue.worker.options import EXIT_BROKEN, EXIT_JOBS_LEFT, EXIT_RETIRED, EXIT_STUCK_JOB, Options
from jobqueue.worker.orders import Orders
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.relay import Relay
from jobqueue.worker.running_jobs import RunningJobs
from jobqueue.worker.settlers import Settlers
from jobqueue.worker.stop import Stop
from jobqueue.worker.telling import Teller
from jobqueue.worker.threads import JobThreads
from jobqueue.worker.unfit import UnfitJobs

logger = logging.getLogger(__name__)
_LOOPS_OVER_DATABASES = ("the heartbeat", "the rescue", "the upkeep")
# Seconds that the last outcomes may take to be written down and told before a process goes without them.
_SETTLE_WITHIN = 1.0


@dataclass
class Executor:
    """Claims jobs, has them run in threads and their outcomes settled, until it is asked to stop."""

    options: Options
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    slot: Slot = field(default_factory=Slot)
    _loops: list[Loop] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        options = self.options
        self.identity = Identity(self.id, options.name, options.queues)
        self._stop = Stop(options.shutdown_timeout)
        self._decisions = QueueDecisions()
        self._affinity = Affinity(options.core)
        self._claimers = DatabaseThreads("who claims jobs")
        self._in_hand = InHand(self.id, self.slot.running, self._claimers)
        self._teller = Teller()
        self._relay = Relay(self.id.hex, self._teller)
        self._bulk_walker = BulkWalker(self.id, self._relay.have_leader_look)
        self._threads = JobThreads(
            options.threads,
            performing=self.slot.performing,
            performed=lambda outcome: self._settlers.put(outcome),
            freed=self._stop.wake.wake,
            guard=_or_end_process,
        )
        self._settlers = Settlers(
            self.identity,
            self._teller,
            others_run=lambda: self._threads.unperformed > 0,
            settled=self._note_settled,
            guard=_or_end_process,
        )
        self._claim_loop = ClaimLoop(
            options=options,
            identity=self.identity,
            teller=self._teller,
            in_hand=self._in_hand,
            threads=self._threads,
            decisions=self._decisions,
            unfit=UnfitJobs(
                self.identity, self._teller, self._in_hand.take, self._settlers.put, self._claimers
            ),
            left_alone=LeftAlone(self.id.hex, self._teller, self._claimers),
            affinity=self._affinity,
            stop=self._stop,
            slot=self.slot,
        )

    def run(self) -> int:
        """Work until asked to stop, or until burst, max_jobs or max_idle_time end it; the exit code."""
        self._stop.listen()
        _prepare_process()
        worker = _row_of(self.id, self.options)
        orders = Orders(worker, self.options, self.slot, self._threads.limits, self._decisions, self._stop)
        if not self._register(worker):
            return 0
        self._start_threads(worker, orders)
        self.slot.ready()
        code = 0
        try:
            code = self._claim_loop.run()
        finally:
            code = self._shut_down(may_take_long=code == EXIT_RETIRED) or code
        return code

    # Start ----------------------------------------------------------------------------------------

    def _register(self, worker: Worker) -> bool:
        """Write the worker's row, however long the databases are away; False if asked to stop meanwhile."""
        self._claimers.start()
        while not self._stop.is_asked:
            try:
                self._decisions.read()
                loops.register_where_possible(worker, self.identity.absent, self._claimers)
                return True
            except OUTAGES as error:
                logger.warning("waiting for the database: %s: %s", type(error).__name__, error)
                close_broken_connections()
                self._stop.wake.wait(1.0)
        return False

    def _start_threads(self, worker: Worker, orders: Orders) -> None:
        options = self.options
        beating, rescuing, keeping = map(DatabaseThreads.started, _LOOPS_OVER_DATABASES)
        self._relay.threads = DatabaseThreads.started("the relay")
        self._bulk_walker.threads = DatabaseThreads.started("the walker of bulk actions")
        orders.threads = DatabaseThreads.started("who takes orders")
        neighbours = Neighbours(worker, keeping) if options.reconciles else None  # in one of each worker
        self._loops = [
            Loop("heartbeat", loops.heartbeat(worker, self.slot.alive, self.identity.absent, beating)),
            Loop("time limits", self._enforce_limits),
            Loop("relay", self._relay.look, wait=self._relay.wait, wake=self._relay.wake),
            Loop("rescue", loops.rescuer(rescuing)),
            Loop("upkeep of Redis", loops.upkeep(options.queues, neighbours, keeping)),
            Loop("queue decisions", self._read_decisions),
            Loop("orders", orders.look, wait=orders.wait, wake=orders.wake),
            Loop("running jobs", RunningJobs(self.id.hex, self._threads).look),
        ]
        if options.reconciles:
            bulk, charts = Loop("bulk actions", self._bulk_walker.look), Loop("charts", folder(self.id.hex))
            self._loops += [bulk, charts, *_reconciling(options)]
        self._threads.start()
        self._settlers.start()
        self._teller.start(_or_end_process)
        for loop in self._loops:
            loop.start()

    # What other threads notice --------------------------------------------------------------------

    def _read_decisions(self) -> float:
        if self._decisions.read():
            self._stop.wake.wake()
        return QueueDecisions.READ_EVERY

    def _note_settled(self, outcomes: list[Outcome], counted: list[Outcome]) -> None:
        taken = sum(not outcome.is_settled for outcome in outcomes)
        if taken:
            logger.warning("%d jobs had been taken from this worker; nothing was changed", taken)
        self._in_hand.note_settled(outcomes)
        self.slot.settled(*_completed_and_failed(counted))
        if any(outcome.status == OutcomeStatus.RETRIED for outcome in counted):
            self._relay.have_leader_look()
        self._claim_loop.parked.note_ended(outcomes)

    def _enforce_limits(self) -> float:
        if self._stop.is_overdue():
            logger.warning("Redis or the database does not answer; not waiting for it any longer")
            processes.end_with_descendants(EXIT_JOBS_LEFT)
        limits = self._threads.limits
        children.kill_those_of(limits.enforce())
        overrun = limits.overrun(get_settings().timeout_grace)
        if overrun:
            self._end_for_stuck_jobs(overrun)
        return 0.1

    def _end_for_stuck_jobs(self, stuck: list[Job]) -> None:
        """A thread that does not take JobTimeout or JobStopped cannot be stopped, only its process can."""
        processes.kill_descendants()  # before anybody else runs the jobs that started them
        stuck_jobs.interrupt(stuck, self._in_hand.claims, self.identity, self.options)
        processes.end_with_descendants(EXIT_STUCK_JOB)

    # Stop -----------------------------------------------------------------------------------------

    def _shut_down(self, may_take_long: bool) -> int:
        """Let running jobs finish, hand the rest back, leave no trace. The exit code, 0 if nothing is left.

        They get the shutdown time-out; a process that retires, with another in its place, lets them take
        as long as their own limits allow, unless it is asked to stop meanwhile.
        """
        started = time.monotonic()
        self._affinity.end()
        self._give_back_unstarted()
        self._let_jobs_finish(started + self.options.shutdown_timeout, may_take_long)
        self._settle_the_last()
        left = self._in_hand.claims
        if left and self.options.has_supervisor():
            # While they run on here nobody else must start them.
            return EXIT_JOBS_LEFT
        self._leave(left)
        return 0

    def _give_back_unstarted(self) -> None:
        try:
            self._in_hand.give_back(self._threads.take_unstarted(), WORKER_STOPPED)
        except OUTAGES as error:
            logger.warning("the rescue will bring jobs back: %s: %s", type(error).__name__, error)

    def _let_jobs_finish(self, deadline: float, may_take_long: bool) -> None:
        """Wait for running jobs, until the stop's deadline if it was asked for, else until this one."""

        def is_late() -> bool:
            by = self._stop.by
            return time.monotonic() >= (by or deadline) and not (may_take_long and by is None)

        if not self._in_hand.is_empty and not may_take_long:
            logger.info("stopping: running jobs may finish within %g s", self.options.shutdown_timeout)
        self._in_hand.wait_until_settled(gives_up=is_late)

    def _settle_the_last(self) -> None:
        deadline = time.monotonic() + _SETTLE_WITHIN
        self._settlers.stop(_SETTLE_WITHIN)
        self._teller.stop(max(0.0, deadline - time.monotonic()))

    def _leave(self, left: list[Claim]) -> None:
        """Hand back what is left and end everything else; what fails, the rescue of another worker does."""
        try:
            if left:
                processes.kill_descendants()
                self._in_hand.hand_back(left)
            for loop in self._loops:
                loop.stop()
            self._relay.give_up_the_lead()
            self._claimers.each(self._sign_off)
        except OUTAGES as error:
            logger.warning("could not hand %d jobs back: %s: %s", len(left), type(error).__name__, error)

    def _sign_off(self, using: str) -> None:
        Worker.objects.using(using).filter(pk=self.id).delete()
        self._bulk_walker.give_up(using)


def _reconciling(options: Options) -> list[Loop]:
    if get_settings().reconcile_interval <= 0 or options.burst:
        return []
    return [Loop("reconcile", loops.reconcile(), pause_after_error=30.0)]


def _completed_and_failed(counted: list[Outcome]) -> tuple[int, int]:
    """How many did the one and the other; what was stopped did neither."""
    ended = [outcome for outcome in counted if outcome.status != OutcomeStatus.STOPPED]
    failed = sum(outcome.failure is not None for outcome in ended)
    return len(ended) - failed, failed


def _row_of(worker_id: uuid.UUID, options: Options) -> Worker:
    return Worker(
        id=worker_id,
        name=options.name,
        hostname=socket.gethostname(),
        pid=os.getpid(),
        queues=list(options.queues),
        threads=options.threads,
        takes_orders=True,
        supervisor_pid=options.supervisor,
        version=get_settings().version or __version__,
    )


def _prepare_process() -> None:
    logs.harden()
    log_lines.keep_from_now_on()
    _keep_connections()
    wait_for_locks_in_this_process()


def _keep_connections() -> None:
    """A job thread keeps its connection from job to job, whatever CONN_MAX_AGE says for requests."""
    for using in connections:
        connections.settings[using]["CONN_MAX_AGE"] = None


def _or_end_process(body: Callable[[], None]) -> Callable[[], None]:
    """A thread that fails takes its process along: the supervisor then brings its jobs back."""

    def run() -> None:
        try:
            body()
        except BaseException:
            logger.exception("the thread %r failed; this executor ends", threading.current_thread().name)
            processes.end_with_descendants(EXIT_BROKEN)

    return run
