"""The worker behind `manage.py rqworker`: a supervisor that never runs job code.

It forks executor processes, replaces those that die or retire, brings their jobs back at once, and stops
them when it is asked to.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from django.db import connections
from rq import Worker as RQWorker

from jobqueue.broker.own import client_of_our_own
from jobqueue.conf import get_settings
from jobqueue.exceptions import EndsHere
from jobqueue.models import title_of
from jobqueue.worker import children, forks, processes
from jobqueue.worker.board import Board, Slot
from jobqueue.worker.executor import Executor
from jobqueue.worker.left_behind import bring_back
from jobqueue.worker.options import EXIT_JOBS_LEFT, EXIT_RETIRED, EXIT_STUCK_JOB, STOP_SIGNALS, Options
from jobqueue.worker.rq_picture import RQPicture
from jobqueue.worker.side_processes import SideProcesses
from jobqueue.worker.vouching import vouch

logger = logging.getLogger(__name__)

_QUICK_DEATH = 2.0
_QUICK_DEATHS_ALLOWED = 5
_KILL_AFTER = 5.0
# Seconds beyond the grace that an executor has to end by itself for a stuck job.
_KILL_STUCK_AFTER = 3.0


class SupervisorWorker(RQWorker):
    """An RQ worker whose jobs run in the threads of executor processes.

    Exit code 0 only for a stop that was asked for (a signal, RQ's shutdown command, burst,
    max_jobs, max_idle_time).
    """

    log_job_description = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As RQ's; `options` may be put in the place of those that the settings make."""
        super().__init__(*args, **kwargs)
        self.options = Options(self.name, self.queue_names())
        self.exit_code = 0
        self._picture = RQPicture(self)

    def _set_connection(self, connection: Any) -> Any:
        # RQ and its picture set time-outs on it: it may be the one of a cache of the project's.
        return super()._set_connection(client_of_our_own(connection))

    def work(  # type: ignore[override]
        self,
        burst: bool = False,
        logging_level: str | None = None,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        **_: Any,
    ) -> bool:
        """Run executors until asked to stop. Returns whether any job was run.

        `with_scheduler` changes nothing: delayed jobs need no scheduler here.
        """
        options = replace(self.options, burst=burst, max_jobs=max_jobs, max_idle_time=max_idle_time)
        supervisor = Supervisor(options)
        supervisor.listen_to_signals()
        supervisor.orphans.adopt()
        while not supervisor.is_asked_to_stop and not self._picture.appear():
            supervisor.wait(0.2)
        try:
            supervisor.start()
            while supervisor.goes_on():
                supervisor.look_after()
                self._picture.report(supervisor.board.totals())
                if self._picture.is_told_to_shut_down:
                    supervisor.ask_to_stop()
        finally:
            supervisor.stop()
            self._picture.disappear()
            connections.close_all()
            logger.info("Worker %s stopped", self.name)
        self.exit_code = supervisor.exit_code
        totals = supervisor.board.totals()
        return totals.completed + totals.failed > 0


@dataclass
class _Child:
    """One executor process, as its supervisor sees it."""

    id: uuid.UUID
    number: int
    """Its place on the board."""
    max_jobs: int | None = None
    is_replaced: bool = False
    pid: int = 0
    started: float = field(default_factory=time.monotonic)

    def exit_code(self) -> int | None:
        """Its exit code if it has ended, else None; once told, not to be asked again."""
        return processes.exit_code_of(self.pid)

    def kill(self) -> None:
        """Return once it is gone, with what its jobs have started."""
        processes.kill_leader(self.pid)


class Supervisor:
    """The executors of one worker: forks, watches, replaces and stops them; knows nothing of RQ."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._news_end, self._wake_end = os.pipe()
        for end in (self._news_end, self._wake_end):
            os.set_blocking(end, False)
        # An executor that retires works on beside the one that took its place.
        self.board = Board(2 * options.processes, options.threads, self._wake_end)
        self._children: dict[int, _Child] = {}
        self._side_processes = SideProcesses()
        self.orphans = processes.Orphans()
        self._quick_deaths = 0
        self.is_asked_to_stop = False
        self.exit_code = 0

    # The stop that was asked for ------------------------------------------------------------------

    def listen_to_signals(self) -> None:
        """From now on a signal to stop, and the end of an executor, end the wait."""
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            signal.signal(signum, self.ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def ask_to_stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Only a flag: who looks after the executors sees it. Further calls change nothing."""
        self.is_asked_to_stop = True

    def wait(self, timeout: float) -> None:
        """Return when there is news, at the latest after so many seconds."""
        select.select([self._news_end], [], [], timeout)
        with suppress(BlockingIOError):
            os.read(self._news_end, 4096)

    # Life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all executors and wait until all are ready, or some have ended and the others are ready."""
        _share_what_is_loaded()
        read, write = os.pipe()
        for number in range(self._options.processes):
            self._fork(number, self._options.share_of_jobs(number), ready_end=write)
        os.close(write)
        waiting = self._options.processes
        while waiting and not self.is_asked_to_stop:
            if not select.select([read], [], [], 0.5)[0]:
                continue
            arrived = len(os.read(read, waiting))
            if not arrived:
                break
            waiting -= arrived
        os.close(read)
        if not waiting:
            _say_ready(self._options)

    def goes_on(self) -> bool:
        """Whether there are executors to look after, and no stop was asked for."""
        return bool(self._children) and not self.is_asked_to_stop

    def look_after(self) -> None:
        """Wait for news of the executors, at most a second, and do what it asks for."""
        self.wait(1.0)
        self._replace_the_retiring()
        self._kill_the_stuck()
        self._vouch_for_the_busy()
        self._reap()

    def stop(self) -> None:
        """Pass the stop on, wait, and kill what does not end in time."""
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._options.shutdown_timeout + _KILL_AFTER
        while self._children and time.monotonic() < deadline:
            self.wait(0.2)
            for child, code in self._ended_children():
                self._bring_back(child, code)
        for child in list(self._children.values()):
            logger.error("executor %d did not stop in time and is killed", child.number + 1)
            self._kill(child)
            self._bring_back(child, EXIT_JOBS_LEFT)

    # Fork -----------------------------------------------------------------------------------------

    def _fork(self, number: int, max_jobs: int | None, ready_end: int | None = None) -> None:
        connections.close_all()
        child = _Child(uuid.uuid4(), number, max_jobs)
        self.board.reset(number)
        options = self._options.of_executor(number, max_jobs=max_jobs, supervisor=os.getpid())
        slot = self.board.slot(number, ready_end)
        # A stop that comes before the child has its own handlers would be lost on ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            child.pid = os.fork()
            if not child.pid:
                processes.run_and_end(lambda: _run_executor(options, child.id, slot))
            self._children[child.pid] = child
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    # Look after -----------------------------------------------------------------------------------

    def _replace_the_retiring(self) -> None:
        """Start an executor for each one that lets its last jobs finish."""
        for child in list(self._children.values()):
            if child.is_replaced or not self.board.is_retiring(child.number):
                continue
            place = (child.number + self._options.processes) % len(self.board)
            if place not in {other.number for other in self._children.values()}:
                child.is_replaced = True
                self._fork(place, self._jobs_left(child))

    def _jobs_left(self, child: _Child) -> int | None:
        """How many jobs `max_jobs` leaves to the one that takes this executor's place."""
        if child.max_jobs is None:
            return None
        return max(0, child.max_jobs - self.board.claimed(child.number))

    def _kill_the_stuck(self) -> None:
        """End executors that cannot end themselves: a call into C that keeps the GIL stops all threads."""
        late = time.monotonic() - get_settings().timeout_grace - _KILL_STUCK_AFTER
        for child in list(self._children.values()):
            stuck = self.board.overdue(child.number, late)
            if stuck:
                logger.error("executor %d is stuck in job %s and is killed", child.number + 1, stuck)
                self._kill(child)
                self._bring_back(child, EXIT_STUCK_JOB, stuck)
                self.board.has_ended(child.number)
                if not child.is_replaced:
                    self._fork(child.number, child.max_jobs)

    def _vouch_for_the_busy(self) -> None:
        """Give the sign of life of an executor that runs and cannot, because a call into C keeps the GIL."""
        interval = get_settings().heartbeat_interval
        for child in self._children.values():
            is_silent = self.board.silent_for(child.number) >= 2 * interval
            if is_silent and vouch(child.pid, child.id, self._side_processes):
                self.board.vouch(child.number, seconds_ago=interval)

    def _reap(self) -> None:
        self._side_processes.reap()
        for child, code in self._ended_children():
            self._follow(child, code)

    def _ended_children(self) -> list[tuple[_Child, int]]:
        """Those that have ended since the last call, with their exit codes."""
        codes = [(child, child.exit_code()) for child in self._children.values()]
        ended = [(child, code) for child, code in codes if code is not None]
        for child, _code in ended:
            del self._children[child.pid]
        self.orphans.look_after(self._known(), kills=bool(ended))
        return ended

    def _kill(self, child: _Child) -> None:
        child.kill()
        del self._children[child.pid]
        self.orphans.look_after(self._known(), kills=True)

    def _known(self) -> set[int]:
        return {*self._children, *self._side_processes.pids}

    def _follow(self, child: _Child, code: int) -> None:
        """Do what the end of an executor asks for."""
        # One that had jobs was ended by a job, and those get rarer with every attempt.
        had_jobs = self.board.running(child.number) > 0
        self.board.has_ended(child.number)
        if code == EXIT_RETIRED:
            logger.info("executor %d has given way to another", child.number + 1)
            self._bring_back(child, code)  # what it could not hand back, because the database was away
            if not child.is_replaced and not self.is_asked_to_stop:
                self._fork(child.number, self._jobs_left(child))
        elif code == 0 and (self.is_asked_to_stop or self._options.may_end_by_itself()):
            logger.info("executor %d is done", child.number + 1)
            self._bring_back(child, code)
        else:
            logger.error(
                "executor %d ended with code %d; its jobs go back, another takes over", child.number + 1, code
            )
            self._bring_back(child, code)
            if not self.is_asked_to_stop and not child.is_replaced:
                self._replace(child, had_jobs)

    def _bring_back(self, child: _Child, code: int, stuck: Sequence[int] = ()) -> None:
        who = f"executor {child.number + 1} of worker {title_of(self._options.name)}"
        bring_back(child.id, who, code, self.board.started(child.number), stuck, self._side_processes)

    def _replace(self, child: _Child, had_jobs: bool) -> None:
        is_quick = time.monotonic() - child.started < _QUICK_DEATH and not had_jobs
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 0
        if self._quick_deaths >= _QUICK_DEATHS_ALLOWED:
            logger.critical("executors end as soon as they start; giving up")
            self.exit_code = 1
            self.ask_to_stop()
            return
        self._fork(child.number, child.max_jobs)


def end_when_asked_to_stop() -> None:
    """Let a signal to stop end this process at once: before a supervisor listens nothing needs an end."""
    for signum in STOP_SIGNALS:
        signal.signal(signum, _end_here)


def _end_here(*_: object) -> None:
    raise EndsHere(0)


def _share_what_is_loaded() -> None:
    """Let the processes forked from now on leave alone what is loaded: it is garbage nowhere.

    Else each would look through it again and again and get a copy of its pages: with two executors 198 MB
    instead of 148 while e-mails are sent, and up to 186 instead of 129 with jobs that do nothing.
    """
    gc.freeze()


def _say_ready(options: Options) -> None:
    logger.info(
        "Worker %s ready: listening on %s with %d processes of %d threads",
        options.name,
        ", ".join(options.queues),
        options.processes,
        options.threads,
    )


def _run_executor(options: Options, executor_id: uuid.UUID, slot: Slot) -> int:
    """Body of a process that was just forked; it has no part in its supervisor's group and handlers."""
    processes.read_nothing()
    _stand_back(get_settings().niceness)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if options.supervisor is not None:
        processes.die_with(options.supervisor)
    forks.expect()
    children.note_from_now_on()
    try:
        return Executor(options, executor_id, slot).run()
    finally:
        processes.kill_descendants()


def _stand_back(niceness: int) -> None:
    """Behind whatever else runs on this host, in a session whose niceness is that of this process alone."""
    before = processes.niceness_of_session()
    processes.lead_session()
    processes.stand_back(niceness)
    if max(niceness, before):
        processes.stand_back_as_session(max(niceness, before))
