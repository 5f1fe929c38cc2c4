"""What breaks in a trial: workers, their processes, Redis, the way to it, and the database; at random."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import redis
from django.db import connection

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess
from tests.faults.crashes import CrashingPostgreSQL
from tests.faults.lossy_proxy import LossyProxy

WORKERS = 2
PROCESSES, THREADS = 2, 4
WORKER_SILENCE = 3.0
# How the workers call themselves on PostgreSQL.
APPLICATION_NAME = "chaos"


@dataclass
class Chaos:
    """Breaks something at random, again and again, before the last thing is mended as well."""

    rng: random.Random
    start_worker: Callable[[], WorkerProcess]
    server: RedisServer
    proxy: LossyProxy
    postgresql: CrashingPostgreSQL | None = None
    workers: list[WorkerProcess] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    in_danger: int = 0
    """How many threads were hit: each may have been between an effect and the word that it was had."""
    _repairs: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _redis_is_well: bool = True

    def begin(self) -> None:
        """Have workers that work."""
        self._keep_up()
        for worker in self.workers:
            worker.wait_until_ready()

    def rage(self, seconds: float) -> None:
        """Break things for so long; then mend all that is broken."""
        until = time.monotonic() + seconds
        faults = self._faults()
        while (left := until - time.monotonic()) > 0:
            self._keep_up()
            self._wait(min(left, self.rng.uniform(0.2, 2.5)))
            name = self.rng.choice(list(faults))
            self.counts[name] += faults[name]() is not False
        while self._repairs:
            self._wait(0.2)
        self._keep_up()

    def _faults(self) -> dict[str, Callable[[], bool | None]]:
        faults: dict[str, Callable[[], bool | None]] = {
            "executor killed": self._kill_executor,
            "worker killed": self._kill_worker,
            "supervisor killed": self._kill_supervisor,
            "rolling deploy": self._deploy,
            "executor asleep": self._put_executor_to_sleep,
            "Redis down": self._stop_redis,
            "Redis killed": self._kill_redis,
            "Redis hangs": self._hang_redis,
            "Redis flushed": self._flush_redis,
            "answer of Redis lost": lambda: self.proxy.lose_replies(b"EVALSHA", 1),
            "connections to Redis broken": self.proxy.drop_connections,
        }
        if connection.vendor == "postgresql":
            faults["connections to PostgreSQL broken"] = break_database_connections
        if self.postgresql is not None:
            faults["PostgreSQL killed"] = self._kill_postgresql
        return faults

    def _wait(self, seconds: float) -> None:
        """Let that time pass, and mend meanwhile what is due to be mended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            threading.Event().wait(min(left, 0.1))
            due = [repair for repair in self._repairs if repair[0] <= time.monotonic()]
            self._repairs = [repair for repair in self._repairs if repair not in due]
            for _, mend in due:
                mend()

    def _mend_in(self, seconds: float, mend: Callable[[], None]) -> None:
        self._repairs.append((time.monotonic() + seconds, mend))

    def _keep_up(self) -> None:
        """What any supervisor of processes does: start again what ended."""
        running = [worker for worker in self.workers if worker.is_running()]
        self.workers = running + [self.start_worker() for _ in range(WORKERS - len(running))]

    # Processes

    def _worker(self) -> WorkerProcess:
        return self.rng.choice(self.workers)

    def _executor(self) -> psutil.Process | None:
        executors = [process for worker in self.workers for process in worker.children()]
        return self.rng.choice(executors) if executors else None

    def _kill_executor(self) -> bool:
        executor = self._executor()
        if executor is None:
            return False
        executor.kill()
        self.in_danger += THREADS
        return True

    def _kill_worker(self) -> None:
        self._worker().kill()
        self.in_danger += PROCESSES * THREADS

    def _kill_supervisor(self) -> None:
        self._worker().signal(signal.SIGKILL)
        self.in_danger += PROCESSES * THREADS

    def _deploy(self) -> None:
        old = self._worker()
        self.workers.append(self.start_worker())
        self.workers.remove(old)
        old.signal(signal.SIGTERM)
        self.in_danger += PROCESSES * THREADS

    def _put_executor_to_sleep(self) -> bool:
        executor = self._executor()
        if executor is None:
            return False
        executor.suspend()
        self._mend_in(WORKER_SILENCE + self.rng.uniform(0.5, 2), lambda: wake(executor))
        self.in_danger += THREADS
        return True

    # PostgreSQL

    def _kill_postgresql(self) -> None:
        assert self.postgresql is not None
        self.postgresql.crash()
        self.postgresql.start_again()
        self.in_danger += len(self.workers) * PROCESSES * THREADS

    # Redis

    def _stop_redis(self) -> bool:
        return self._break_redis(self.server.stop, self.server.start)

    def _hang_redis(self) -> bool:
        return self._break_redis(self.server.pause, self.server.resume)

    def _break_redis(self, do: Callable[[], None], undo: Callable[[], None]) -> bool:
        if not self._redis_is_well:
            return False
        self._redis_is_well = False
        do()

        def mend() -> None:
            undo()
            self._redis_is_well = True

        self._mend_in(self.rng.uniform(0.5, 3), mend)
        return True

    def _kill_redis(self) -> bool:
        if not self._redis_is_well:
            return False
        self.server.kill()
        self.server.start()
        return True

    def _flush_redis(self) -> bool:
        if not self._redis_is_well:
            return False
        with redis.Redis(host=self.server.host, port=self.server.port) as client:
            client.flushall()
        return True


def wake(process: psutil.Process) -> None:
    """Let a process go on, if it was not killed in its sleep."""
    with suppress(psutil.NoSuchProcess):
        process.resume()


def break_database_connections() -> None:
    """Break every connection of a worker to PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
            [APPLICATION_NAME],
        )
