"""The RQ worker class behind `manage.py rqworker`: a supervisor that never runs job code.

It forks executor processes, replaces those that die, brings their jobs back at once, and keeps
RQ's own picture of the worker true.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import select
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from types import FrameType
from typing import Any

from django.db import connections
from django.db.models.functions import Now
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Worker as RQWorker
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.worker import WorkerStatus

from jobqueue.broker import lead, registries, server
from jobqueue.conf import get_settings
from jobqueue.delivery import rescue
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, Worker
from jobqueue.sql.databases import OUTAGES, databases
from jobqueue.worker.board import Slot
from jobqueue.worker.claiming import Claim
from jobqueue.worker.cores import core_of
from jobqueue.worker.executor import Executor
from jobqueue.worker.in_hand import hand_back
from jobqueue.worker.options import EXIT_JOBS_LEFT, EXIT_RETIRED, EXIT_STUCK_JOB, STOP_SIGNALS, Options

logger = logging.getLogger("jobqueue.worker")

# What each executor tells in the memory it shares with its supervisor.
_RUNNING, _COMPLETED, _FAILED, _TAKEN, _RETIRING = range(5)
_COLUMNS = 5
_QUICK_DEATH = 2.0
_QUICK_DEATHS_ALLOWED = 5
_KILL_AFTER = 5.0
# Seconds beyond the grace that an executor has to end by itself for a stuck job.
_KILL_STUCK_AFTER = 3.0
_PR_SET_PDEATHSIG = 1


@dataclass
class _Child:
    """One executor process, as its supervisor sees it."""

    id: uuid.UUID
    number: int
    """Its place in the memory that supervisor and executors share."""
    max_jobs: int | None = None
    is_replaced: bool = False
    pid: int = 0
    started: float = field(default_factory=time.monotonic)


class SupervisorWorker(RQWorker):
    """An RQ worker whose jobs run in the threads of executor processes.

    Exit code 0 only for a stop that was asked for (a signal, RQ's shutdown command, burst,
    max_jobs, max_idle_time).
    """

    log_job_description = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = get_settings()
        self.threads = settings.threads
        self.processes = settings.processes
        self.cpu_affinity = settings.cpu_affinity
        self.shutdown_timeout = settings.shutdown_timeout
        self.max_jobs_per_process = settings.max_jobs_per_process
        self.max_memory_per_process = settings.max_memory_per_process
        self.exit_code = 0
        self._children: dict[int, _Child] = {}
        self._vouchers: list[int] = []
        self._asked_to_stop = False
        self._quick_deaths = 0
        self._pubsub: Any = None
        self._reported: tuple[int, ...] = ()
        self._do_not_wait_for_redis()

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
        self._burst, self._max_jobs, self._max_idle_time = burst, max_jobs, max_idle_time
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            signal.signal(signum, self.request_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # An executor that retires works on beside the one that took its place.
        self._places = 2 * self.processes
        self._totals = RawArray(ctypes.c_long, _COLUMNS * self._places)
        # By executor and thread: the job that was started last, and the monotonic time when its time is up.
        self._started = RawArray(ctypes.c_longlong, self._places * self.threads)
        self._deadlines = RawArray(ctypes.c_double, self._places * self.threads)
        # By executor: the monotonic time of its last sign of life.
        self._alive = RawArray(ctypes.c_double, self._places)
        self.register_birth()
        self._next_heartbeat = 0.0
        try:
            self._start_all()
            self._supervise()
        finally:
            self._stop_all()
            self._end()
        return sum(self._column(_COMPLETED)) + sum(self._column(_FAILED)) > 0

    def _do_not_wait_for_redis(self) -> None:
        """A Redis that hangs must not keep the supervisor from its executors, or from a stop."""
        pool = self.connection.connection_pool
        timeout = get_settings().health_timeout
        pool.connection_kwargs.update(socket_timeout=timeout, socket_connect_timeout=timeout)
        self.connection.set_retry(Retry(NoBackoff(), 0))
        # The connections there are would keep their old limits.
        pool.disconnect()
        pool.reset()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Only a flag: the loop sees it. Further signals change nothing."""
        self._asked_to_stop = True

    # Executors ------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        read, write = os.pipe()
        for number in range(self.processes):
            self._fork(number, _share(self._max_jobs, self.processes, number), ready=write)
        os.close(write)
        waiting = self.processes
        while waiting and not self._asked_to_stop:
            if not select.select([read], [], [], 0.5)[0]:
                continue
            arrived = len(os.read(read, waiting))
            if not arrived:
                break
            waiting -= arrived
        os.close(read)
        if not waiting:
            logger.info(
                "Worker %s ready: listening on %s with %d processes of %d threads",
                self.name,
                ", ".join(self.queue_names()),
                self.processes,
                self.threads,
            )

    def _fork(self, number: int, max_jobs: int | None, ready: int | None = None) -> None:
        connections.close_all()
        child = _Child(uuid.uuid4(), number, max_jobs)
        self._totals[_COLUMNS * number + _RETIRING] = 0
        self._deadlines[number * self.threads : (number + 1) * self.threads] = [0.0] * self.threads
        self._alive[number] = time.monotonic()
        supervisor = os.getpid()
        # A stop that comes before the child has its own handlers would be lost on ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = self._run_executor(child, supervisor, ready)
            except BaseException:
                logger.exception("executor failed")
            finally:
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
                # Threads that hang in a job must not keep the process.
                os._exit(code)
        child.pid = pid
        self._children[pid] = child
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _run_executor(self, child: _Child, supervisor: int, ready: int | None) -> int:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with_parent(supervisor)
        base, first_thread = _COLUMNS * child.number, child.number * self.threads
        totals, started, deadlines = self._totals, self._started, self._deadlines
        totals[base + _RUNNING] = 0
        started[first_thread : first_thread + self.threads] = [0] * self.threads

        def note_running(count: int) -> None:
            totals[base + _RUNNING] = count

        def note_performing(thread: int, job_id: int, deadline: float) -> None:
            started[first_thread + thread] = job_id
            deadlines[first_thread + thread] = deadline

        def note_alive() -> None:
            self._alive[child.number] = time.monotonic()

        def note_settled(completed: int, failed: int) -> None:
            totals[base + _COMPLETED] += completed
            totals[base + _FAILED] += failed

        def note_ready() -> None:
            if ready is not None:
                os.write(ready, b"r")
                os.close(ready)

        def note_retiring(taken: int) -> None:
            totals[base + _TAKEN] = taken
            totals[base + _RETIRING] = 1
            with suppress(BlockingIOError):
                os.write(self._wake_write, b"r")

        options = Options(
            name=self.name if self.processes == 1 else f"{self.name}.{child.number + 1}",
            queues=self.queue_names(),
            threads=self.threads,
            shutdown_timeout=self.shutdown_timeout,
            burst=self._burst,
            max_jobs=child.max_jobs,
            max_idle_time=self._max_idle_time,
            max_jobs_per_process=self.max_jobs_per_process,
            max_memory=self.max_memory_per_process and self.max_memory_per_process << 20,
            reconciles=child.number % self.processes == 0,
            supervisor=supervisor,
            core=core_of(child.number, self.processes) if self.cpu_affinity else None,
        )
        return Executor(
            options,
            child.id,
            Slot(
                running=note_running,
                performing=note_performing,
                alive=note_alive,
                settled=note_settled,
                ready=note_ready,
                retiring=note_retiring,
            ),
        ).run()

    def _supervise(self) -> None:
        while self._children and not self._asked_to_stop:
            select.select([self._wake_read], [], [], 1.0)
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            self._replace_the_retiring()
            self._kill_the_stuck()
            self._vouch_for_the_busy()
            self._reap()
            self._report_to_rq()

    def _replace_the_retiring(self) -> None:
        """Start an executor for each one that lets its last jobs finish."""
        for child in list(self._children.values()):
            if child.is_replaced or not self._totals[_COLUMNS * child.number + _RETIRING]:
                continue
            place = (child.number + self.processes) % self._places
            if place not in {other.number for other in self._children.values()}:
                child.is_replaced = True
                self._fork(place, self._jobs_left(child))

    def _jobs_left(self, child: _Child) -> int | None:
        """How many jobs `max_jobs` leaves to the one that takes this executor's place."""
        if child.max_jobs is None:
            return None
        return max(0, child.max_jobs - self._totals[_COLUMNS * child.number + _TAKEN])

    def _kill_the_stuck(self) -> None:
        """End executors that cannot end themselves: a call into C that keeps the GIL stops all threads."""
        late = time.monotonic() - get_settings().timeout_grace - _KILL_STUCK_AFTER
        for pid, child in list(self._children.items()):
            first = child.number * self.threads
            deadlines = self._deadlines[first : first + self.threads]
            stuck = [self._started[first + i] for i, at in enumerate(deadlines) if 0 < at < late]
            if stuck:
                logger.error("executor %d is stuck in job %s and is killed", child.number + 1, stuck)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del self._children[pid]
                self._interrupt(child, stuck, "ran past its time limit and could not be stopped")
                self._bring_back(child, EXIT_STUCK_JOB)
                self._totals[_COLUMNS * child.number + _RUNNING] = 0
                if not child.is_replaced:
                    self._fork(child.number, child.max_jobs)

    def _vouch_for_the_busy(self) -> None:
        """Give the sign of life of an executor that runs and cannot, because a call into C keeps the GIL."""
        interval = get_settings().heartbeat_interval
        for pid, child in self._children.items():
            silent_for = time.monotonic() - self._alive[child.number]
            if silent_for >= 2 * interval and _is_running(pid):
                self._alive[child.number] = time.monotonic() - interval
                self._vouchers.append(self._fork_voucher(child))

    def _fork_voucher(self, child: _Child) -> int:
        """A process that writes the sign of life: a database that hangs must not keep the supervisor."""
        connections.close_all()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for signum in STOP_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.alarm(int(get_settings().worker_silence) + 1)
            for alias in databases():
                Worker.objects.using(alias).filter(pk=child.id).update(heartbeat_at=Now())
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        self._vouchers = [pid for pid in self._vouchers if not os.waitpid(pid, os.WNOHANG)[0]]
        for child, code in self._ended_children():
            self._follow(child, code)

    def _follow(self, child: _Child, code: int) -> None:
        """Do what the end of an executor asks for."""
        row = _COLUMNS * child.number
        # One that had jobs was ended by a job, and those get rarer with every attempt.
        had_jobs = self._totals[row + _RUNNING] > 0
        # Its place may stay empty.
        self._totals[row + _RUNNING] = 0
        if code == EXIT_RETIRED:
            logger.info("executor %d has given way to another", child.number + 1)
            self._bring_back(child, code)  # what it could not hand back, because the database was away
            if not child.is_replaced and not self._asked_to_stop:
                self._fork(child.number, self._jobs_left(child))
            return
        if code == 0 and (self._asked_to_stop or self._may_end_by_itself()):
            logger.info("executor %d is done", child.number + 1)
            self._bring_back(child, code)
            return
        logger.error(
            "executor %d ended with code %d; its jobs go back, another takes over", child.number + 1, code
        )
        self._bring_back(child, code)
        if not self._asked_to_stop and not child.is_replaced:
            self._replace(child, had_jobs)

    def _may_end_by_itself(self) -> bool:
        return self._burst or self._max_jobs is not None or self._max_idle_time is not None

    def _ended_children(self) -> list[tuple[_Child, int]]:
        ended = []
        for pid in list(self._children):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                done, status = pid, 1 << 8
            if done:
                ended.append((self._children.pop(pid), os.waitstatus_to_exitcode(status)))
        return ended

    def _bring_back(self, child: _Child, code: int) -> None:
        """Put the jobs of an executor that is certainly gone back on the road, before its silence tells.

        That uses up an attempt of those that were running, for one of them may have ended it; not of
        those that only shared the process with a job that was stuck.
        """
        reason = f"executor {child.number + 1} of worker {self.name} ended with code {code}"
        if code not in (0, EXIT_STUCK_JOB, EXIT_JOBS_LEFT, EXIT_RETIRED):
            started = self._started[child.number * self.threads : (child.number + 1) * self.threads]
            self._interrupt(child, started, reason)
        try:
            for alias in databases():
                jobs = Job.objects.using(alias).held_by(child.id)
                hand_back([Claim(job, alias) for job in jobs], child.id)
            self._forget(child)
        except OUTAGES as error:
            logger.warning("the rescue will bring its jobs back: %s: %s", type(error).__name__, error)

    def _interrupt(self, child: _Child, job_ids: Sequence[int], reason: str) -> None:
        try:
            for alias in databases():
                jobs = Job.objects.using(alias).held_by(child.id)
                for job in jobs.filter(pk__in=job_ids):
                    rescue.interrupt(job, alias, reason)
        except OUTAGES as error:
            logger.warning("the rescue will bring its jobs back: %s: %s", type(error).__name__, error)

    def _forget(self, child: _Child) -> None:
        """Remove the executor from RQ's registries and from the workers."""
        try:
            server.ping()
            lead.give_up(child.id.hex)  # its relay may have led: another leads at once, not after its lease
            registries.forget_worker(child.id.hex)
        except BrokerUnavailable:
            # Its row stays, so that the rescue does that when Redis is back.
            return
        for alias in databases():
            Worker.objects.using(alias).filter(pk=child.id).delete()

    def _replace(self, child: _Child, had_jobs: bool) -> None:
        is_quick = time.monotonic() - child.started < _QUICK_DEATH and not had_jobs
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 0
        if self._quick_deaths >= _QUICK_DEATHS_ALLOWED:
            logger.critical("executors end as soon as they start; giving up")
            self.exit_code = 1
            self._asked_to_stop = True
            return
        self._fork(child.number, child.max_jobs)

    def _stop_all(self) -> None:
        """Pass the stop on, wait, and kill what does not end in time."""
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.shutdown_timeout + _KILL_AFTER
        while self._children and time.monotonic() < deadline:
            select.select([self._wake_read], [], [], 0.2)
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            for child, code in self._ended_children():
                self._bring_back(child, code)
        for pid, child in list(self._children.items()):
            logger.error("executor %d did not stop in time and is killed", child.number + 1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self._children[pid]
            self._bring_back(child, EXIT_JOBS_LEFT)

    # RQ's picture ---------------------------------------------------------------------------------

    def _report_to_rq(self) -> None:
        """Heartbeat, state and counts for `rq info` and `rqstats`, and RQ's shutdown command."""
        try:
            self._listen_to_commands()
            running, completed, failed = map(sum, map(self._column, (_RUNNING, _COMPLETED, _FAILED)))
            news = (bool(running), completed, failed)
            if news == self._reported and time.monotonic() < self._next_heartbeat:
                return
            self._next_heartbeat = time.monotonic() + get_settings().heartbeat_interval
            if not self.connection.exists(self.key):
                super().register_birth()
            with self.connection.pipeline(transaction=False) as pipeline:
                self.set_state(WorkerStatus.BUSY if running else WorkerStatus.IDLE, pipeline=pipeline)
                pipeline.hset(self.key, "successful_job_count", completed)
                pipeline.hset(self.key, "failed_job_count", failed)
                self.heartbeat(pipeline=pipeline)
                pipeline.execute()
            self._reported = news
        except (RedisError, OSError, ValueError) as error:  # ValueError: another took the name meanwhile
            logger.debug("Redis does not take the worker's state: %s", error)
            self._pubsub = None

    def register_birth(self) -> None:
        """Make the worker known to RQ, under a name that nobody alive has.

        A worker that was killed keeps its name in RQ for minutes. Here the name is free again once its
        owner was silent for as long as makes a worker count as gone. Where Redis does not take the
        registration, because it is full or the answer got lost, the next heartbeat sees to it.
        """
        try:
            self._wait_for_the_name()
            if not self._asked_to_stop:
                super().register_birth()
        except (RedisError, OSError) as error:
            logger.warning("RQ does not know of this worker yet: %s: %s", type(error).__name__, error)

    def _wait_for_the_name(self) -> None:
        heard_of = self._last_sign_of_namesake()
        if heard_of is not None:
            logger.warning("waiting: there is a worker named %s, or there was one just now", self.name)
            deadline = time.monotonic() + get_settings().worker_silence
            while self._last_sign_of_namesake() == heard_of and not self._asked_to_stop:
                if time.monotonic() >= deadline:
                    self.connection.delete(self.key)
                    break
                select.select([self._wake_read], [], [], 0.2)

    def _last_sign_of_namesake(self) -> bytes | str | None:
        if self.connection.hexists(self.key, "death"):
            return None
        return self.connection.hget(self.key, "last_heartbeat")

    def _listen_to_commands(self) -> None:
        if self._pubsub is None:
            self._pubsub = self.connection.pubsub(ignore_subscribe_messages=True)
            self._pubsub.subscribe(PUBSUB_CHANNEL_TEMPLATE % self.name)
        while (message := self._pubsub.get_message(timeout=0)) is not None:
            with suppress(ValueError, TypeError, AttributeError):
                if json.loads(message["data"]).get("command") == "shutdown":
                    logger.info("Worker %s: shutdown command received", self.name)
                    self._asked_to_stop = True

    def _column(self, index: int) -> list[int]:
        return [self._totals[_COLUMNS * place + index] for place in range(self._places)]

    def _end(self) -> None:
        with suppress(RedisError, OSError):
            self.register_death()
        connections.close_all()
        logger.info("Worker %s stopped", self.name)


def _share(total: int | None, parts: int, number: int) -> int | None:
    """The part of `total` jobs that falls to one of `parts` executors."""
    if total is None:
        return None
    return total // parts + (1 if number < total % parts else 0)


def _is_running(pid: int) -> bool:
    """Whether the process is there and not stopped, as far as Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "RSD"
    except OSError:
        return False


def _die_with_parent(supervisor: int) -> None:
    """On Linux, a supervisor that is killed takes its executors along, as if they were asked to stop."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            raise SystemExit("the supervisor ended before its executor started")
