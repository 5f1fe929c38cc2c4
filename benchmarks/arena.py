"""Where the peers meet: the servers of one run, and everything a measure does with them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from benchmarks import processes
from benchmarks.ledgers import DeliveryLedger, Ledger, RedisLedger
from benchmarks.peers import Peer
from benchmarks.processes import ROOT, BenchmarkFailed
from benchmarks.servers import PostgreSQLServer, RedisServer
from benchmarks.work.body import EFFECTS_DATABASE
from spendsync_site.demo.processes import LOOPBACK

NODE_MODULES = ROOT / ".bench" / "node" / "node_modules"
DATABASE = "benchmark"
_TEMPLATE = "migrated"
_PRODUCER_PATIENCE = 180.0
_MODULE_PATIENCE = 600.0
_JOB_TABLES = "jobqueue_attempt, jobqueue_job, jobqueue_worker, settlements_emaildelivery"


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU at one moment."""

    worker: float
    redis: float
    postgresql: float

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(
            self.worker - earlier.worker,
            self.redis - earlier.redis,
            self.postgresql - earlier.postgresql,
        )


class Arena:
    """A Redis, a PostgreSQL and a folder, from `with` to its end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spendsync-bench-"))
        self.folder.chmod(0o755)  # the postgres user passes through
        self.redis_server = RedisServer(self.folder / "redis")
        self.postgresql = PostgreSQLServer(self.folder / "postgresql")
        self._sqlite_template = self.folder / "template.sqlite3"
        self._static = self.folder / "static"
        self._static.mkdir()
        self._sqlite = self.folder / "site.sqlite3"

    def __enter__(self) -> Self:
        try:
            self.redis_server.start()
            self.postgresql.start()
            self.redis = redis.Redis(host=LOOPBACK, port=self.redis_server.port)
            self._effects = redis.Redis(host=LOOPBACK, port=self.redis_server.port, db=EFFECTS_DATABASE)
            self._make_databases()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self.redis_server.stop()
        self.postgresql.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_databases(self) -> None:
        with self.postgresql.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        for url in (self.postgresql.url(_TEMPLATE), f"sqlite:///{self._sqlite_template}"):
            environment = self._environment() | {
                "DJANGO_SETTINGS_MODULE": "benchmarks.site.settings",
                "DATABASE_URL": url,
            }
            command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            processes.output_of(command, environment, self._log("migrate"), 300)
        self.make_database(DATABASE)

    def make_database(self, name: str) -> str:
        """An empty database with all tables; its address."""
        with self.postgresql.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.postgresql.url(name)

    def drop_database(self, name: str) -> None:
        """Give its disk space back."""
        with self.postgresql.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _environment(self) -> dict[str, str]:
        kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "PYTHONPATH": str(ROOT),
            "NODE_PATH": str(NODE_MODULES),
            "BENCHMARK_REDIS_PORT": str(self.redis_server.port),
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(self.redis_server.port),
            "REDIS_URL": "",
            "REDIS_PASSWORD": "",
            "REDIS_JOB_QUEUE_DB": "1",
            "OTHER_DATABASE_URL": "",
            "SECRET_KEY": "a-key-for-benchmarks-only-that-is-long-enough-to-satisfy-every-check-0123456789",
            "DEBUG": "0",
            "EMAIL_URL": "dummymail://",
            "EMAIL_BACKEND": "",
            "STATIC_ROOT": str(self._static),
        }

    def environment_of(self, peer: Peer) -> dict[str, str]:
        """What a peer's processes find in their environment; nothing of a developer's."""
        urls = {"postgresql": self.postgresql.url(DATABASE), "sqlite": f"sqlite:///{self._sqlite}"}
        database = {"DATABASE_URL": urls[peer.database]} if peer.database else {}
        return self._environment() | database | dict(peer.environment)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    # What a measure does --------------------------------------------------------------------------

    def clear(self, peer: Peer) -> None:
        """No job is left, in Redis or in the peer's database."""
        self.redis.flushall()
        if peer.database == "postgresql":
            with self.postgresql.connect(DATABASE) as connection:
                connection.execute(f"TRUNCATE {_JOB_TABLES} CASCADE")
                connection.execute("CHECKPOINT")
        elif peer.database == "sqlite":
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._sqlite}{suffix}").unlink(missing_ok=True)
            shutil.copyfile(self._sqlite_template, self._sqlite)

    def produce(self, peer: Peer, task: str, **options: Any) -> dict[str, Any]:
        """Let the peer's producer do one task."""
        return self._answer([*peer.producer, task, json.dumps(options)], peer, _PRODUCER_PATIENCE)

    def ask(self, peer: Peer, module: str, **options: Any) -> dict[str, Any]:
        """Run a module with the peer's settings; what it prints last, as JSON."""
        command = [sys.executable, "-m", module, json.dumps(options)]
        return self._answer(command, peer, _MODULE_PATIENCE)

    def _answer(self, command: Sequence[str], peer: Peer, patience: float) -> dict[str, Any]:
        output = processes.output_of(
            command, self.environment_of(peer), self._log(f"{peer.key}-client"), patience
        )
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
        return answer

    def fill(self, peer: Peer, work: str, count: int) -> None:
        """Enqueue `count` jobs. The database then knows how large its tables are, as a grown one does."""
        self.produce(peer, "fill", work=work, count=count)
        if peer.database == "postgresql":
            with self.postgresql.connect(DATABASE) as connection:
                connection.execute("VACUUM ANALYZE jobqueue_job")

    @contextmanager
    def worker(self, peer: Peer) -> Iterator[subprocess.Popen[str]]:
        """The peer's worker; it is started, not ready."""
        with processes.running(
            peer.worker, self.environment_of(peer), self._log(f"{peer.key}-worker")
        ) as process:
            yield process

    def usage(self, worker: int) -> Usage:
        """What the worker's processes and the servers have used until now."""
        return Usage(
            processes.cpu_seconds(worker),
            processes.cpu_seconds(self.redis_server.pid),
            processes.cpu_seconds(self.postgresql.pid),
        )

    def ledger(self, work: str) -> Ledger:
        """Where it is written which jobs of this kind of work ran."""
        if work == "email":
            return DeliveryLedger(self.postgresql, DATABASE)
        return RedisLedger(self._effects)

    def wait_for(self, ledger: Ledger, count: int, peer: Peer, worker: int, patience: float = 120.0) -> int:
        """Return once `count` jobs ran, and how many did by then."""
        deadline = time.monotonic() + patience
        while (seen := ledger.count()) < count:
            if time.monotonic() > deadline or not processes.is_running(worker):
                raise BenchmarkFailed(
                    f"{seen} of {count} jobs ran; the worker said:\n{self.last_words(peer)}"
                )
            time.sleep(ledger.look_every)
        return seen

    def last_words(self, peer: Peer) -> str:
        """The end of what the peer's worker printed."""
        return processes.last_lines(self._log(f"{peer.key}-worker"))

    def unfinished_rows(self, peer: Peer) -> int:
        """Rows of jobs that are not completed."""
        statement = "SELECT count(*) FROM jobqueue_job WHERE state <> 'completed'"
        if peer.database == "postgresql":
            with self.postgresql.connect(DATABASE) as connection:
                row = connection.execute(statement).fetchone()
                return int(str(row[0])) if row else 0
        if peer.database == "sqlite":
            with closing(sqlite3.connect(self._sqlite, timeout=20)) as connection:
                return int(connection.execute(statement).fetchone()[0])
        return 0

    def wait_until_settled(self, peer: Peer, timeout: float = 20.0) -> None:
        """Return once every row is completed; BenchmarkFailed if that does not come."""
        deadline = time.monotonic() + timeout
        while left := self.unfinished_rows(peer):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{left} rows are not completed after all jobs ran")
            time.sleep(0.05)
