"""Fixtures that every test may use: a clean Redis, real workers, people and settlements."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil
import pytest
import redis as redis_library
from django.core.cache import caches

from spendsync_site.demo.processes import LOOPBACK, end_with_parent
from spendsync_site.demo.redis_server import RedisServer
from tests.integration.postgresql import ON_POSTGRESQL
from tests.migrated import migrations_are_copied
from tests.nursery import Nursling, can_start, nursery
from tests.processes import processes_of, put_to_sleep
from tests.servers import REDIS_DATABASE, ROOT, main_redis, subprocess_environment

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from settlements.models import Payment, Settlement
    from tests.projects import Project

# Not skipped but not collected: SQLite has neither server, nor roles, nor sockets, and another planner.
_OF_POSTGRESQL = ["*_on_postgresql.py", "*/test_postgresql*.py"]
collect_ignore_glob = ["*_on_sqlite.py"] if ON_POSTGRESQL else _OF_POSTGRESQL

READY_TIMEOUT = 30.0
_READY = re.compile(r"\bready\b", re.IGNORECASE)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a test that was skipped is a failure: it proved nothing."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or terminal is None or hasattr(session.config, "workerinput"):
        return
    skipped = [*terminal.stats.get("skipped", []), *terminal.stats.get("xfailed", [])]
    if skipped:
        terminal.write_line(f"ERROR: {len(skipped)} tests were skipped; in CI every test must run", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def wait_until(predicate: Callable[[], Any], timeout: float = 15.0, *, interval: float = 0.02) -> Any:
    """Wait until `predicate()` is true and return its value; fail after `timeout` seconds.

    For what another process brings about and no event tells: everything else awaits an event.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            pytest.fail(f"not within {timeout} s: {getattr(predicate, '__qualname__', predicate)}")
        pause.wait(interval)
    return value


# Databases ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest) -> None:
    """As pytest-django's, but migrated once for all processes."""
    with migrations_are_copied():
        request.getfixturevalue("django_db_setup")


# Redis --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server() -> RedisServer:
    """The Redis that the settings of this process point at. Do not stop it: take `private_redis` for that."""
    return main_redis()


@pytest.fixture(scope="session")
def _redis_connection(redis_server: RedisServer) -> Iterator[redis_library.Redis]:
    with redis_library.Redis(host=redis_server.host, port=redis_server.port, db=REDIS_DATABASE) as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_redis(_redis_connection: redis_library.Redis) -> None:
    """Every test finds Redis empty, and asks anew what a probe of the test before may still wait for."""
    _redis_connection.flushall()
    probes = sys.modules.get("jobqueue.monitoring.probes")
    for probe in list(probes.Probe._all) if probes is not None else ():
        probe.forget()


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    """Every test finds the caches empty: nobody is throttled for what the test before asked the API."""
    for cache in caches.all():
        cache.clear()


@pytest.fixture
def redis_client(_redis_connection: redis_library.Redis) -> redis_library.Redis:
    """A plain client of the database that the queues are in."""
    return _redis_connection


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis of this test's own, to stop, kill, pause and start again as it likes.

    `private_redis(persistent=True)` keeps its data on disk. Give it to a worker with
    `worker_process(redis=server)`.
    """
    servers: list[RedisServer] = []

    def start(*, persistent: bool = False) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(servers)}", persistent=persistent)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def blackhole() -> Iterator[tuple[str, int]]:
    """The address of a server that takes every connection and never answers."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(128)  # the kernel completes the connections; nobody ever reads them
        host, port = listener.getsockname()
        yield host, port


# Workers ------------------------------------------------------------------------------------------


class WorkerProcess:
    """A real `manage.py rqworker` in a session of its own, with everything it printed."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path = ROOT) -> None:
        self._ready = threading.Event()
        self._lines: list[str] = []
        self._process = _started(["rqworker", *arguments], environment, folder)
        assert self._process.stdout is not None
        self._stdout, self._printed = self._process.stdout, os.fstat(self._process.stdout.fileno()).st_ino
        self._reader = threading.Thread(target=self._read, name="worker output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._stdout as output:
            for line in output:
                self._lines.append(line)
                if _READY.search(line):
                    self._ready.set()
        self._ready.set()  # it ended: whoever waits shall see that

    @property
    def pid(self) -> int:
        """The process id of the worker's first process."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything the worker printed so far, standard error included."""
        return "".join(self._lines)

    def wait_until_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Return once the worker listens; fail when it ends or is too slow."""
        if not self._ready.wait(timeout):
            pytest.fail(f"the worker was not ready within {timeout} s; it printed:\n{self.output}")
        if not _READY.search(self.output):
            pytest.fail(f"the worker ended with code {self._process.wait()}; it printed:\n{self.output}")

    def wait_for_line(self, pattern: str, timeout: float = 15.0) -> str:
        """The first line that `pattern` matches, once it is printed."""
        wait_until(lambda: re.search(pattern, self.output), timeout)
        return next(line for line in self.output.splitlines() if re.search(pattern, line))

    def is_running(self) -> bool:
        """Whether the worker's first process is alive."""
        return self._process.poll() is None

    def children(self) -> list[psutil.Process]:
        """The processes below the first one."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: int) -> None:
        """Send a signal to the worker's first process."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 40.0) -> int:
        """The exit code, once the worker has ended and its output is complete."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the worker did not end within {timeout} s; it printed:\n{self.output}")
        self._reader.join(timeout)
        return code

    def stop(self) -> int:
        """Ask the worker to end (SIGTERM) and wait for it; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kill all of the worker's processes at once, as a lost machine would."""
        if self.is_running():
            # Asleep it neither replaces the others nor lets them go: they stop in order when it ends.
            self._process.send_signal(signal.SIGSTOP)
        asleep: set[psutil.Process] = set()
        while awake := {*self.children(), *processes_of(self.pid, self._printed)} - asleep:
            put_to_sleep(awake)  # what is awake may start another one while it is looked for
            asleep |= awake
        for process in asleep:
            if process.pid != self.pid:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.kill()
        self._process.wait()
        self._reader.join(10)


def _started(
    arguments: list[str], environment: dict[str, str], folder: Path
) -> subprocess.Popen[str] | Nursling:
    if folder == ROOT and can_start(environment):
        return nursery().start(arguments, environment)
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )


class StartWorker(Protocol):
    """How a test starts a worker."""

    def __call__(
        self,
        *arguments: str,
        queues: tuple[str, ...] = ...,
        redis: RedisServer | None = None,
        wait: bool = True,
        code: Path = ROOT,
        **environment: str,
    ) -> WorkerProcess: ...


@pytest.fixture
def worker_process(transactional_db: None) -> Iterator[StartWorker]:
    """Starts real workers on this test's database and Redis, and kills what is left of them at the end.

    `worker_process("--threads", "2", LOG_LEVEL="DEBUG")` returns once the worker listens;
    `wait=False` returns at once. `code` is the folder of another version of the code.
    """
    workers: list[WorkerProcess] = []

    def start(
        *arguments: str,
        queues: tuple[str, ...] = ("email", "reminders", "settlement"),
        redis: RedisServer | None = None,
        wait: bool = True,
        code: Path = ROOT,
        **environment: str,
    ) -> WorkerProcess:
        worker = WorkerProcess([*queues, *arguments], subprocess_environment(redis, **environment), code)
        workers.append(worker)
        if wait:
            worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        worker.kill()
    if workers:
        _wait_until_their_statements_end()


def _wait_until_their_statements_end(timeout: float = 5.0) -> None:
    """PostgreSQL ends the statement of a killed client: what it writes must not meet the next test."""
    from django.db import Error, connection

    if connection.vendor != "postgresql":
        return
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    own = connection.copy()
    deadline = time.monotonic() + timeout
    try:
        with own.cursor() as cursor:
            while time.monotonic() < deadline and cursor.execute(active).fetchone() != (0,):
                threading.Event().wait(0.01)
    except Error:
        pass  # a test that stopped this server; whoever empties the tables will say so
    finally:
        own.close()


@pytest.fixture
def project_worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers of generated projects: `project_worker(project, "--threads", "4")`."""
    workers: list[WorkerProcess] = []

    def start(project: Project, *arguments: str) -> WorkerProcess:
        worker = WorkerProcess(["default", *arguments], project.environment, project.folder)
        workers.append(worker)
        worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        worker.kill()


# People and settlements ---------------------------------------------------------------------------


@pytest.fixture
def payer(db: None) -> User:
    """Who owes the money."""
    from django.contrib.auth.models import User

    return User.objects.create_user("payer", "payer@example.com", first_name="Pia", last_name="Payer")


@pytest.fixture
def payee(db: None) -> User:
    """Who is owed the money."""
    from django.contrib.auth.models import User

    return User.objects.create_user("payee", "payee@example.com", first_name="Emil", last_name="Payee")


@pytest.fixture
def make_settlement(payer: User, payee: User) -> Callable[..., Settlement]:
    """Creates settlements: `make_settlement(amount=Money(30, "EUR"))`; every field has a default."""
    from django.utils import timezone
    from moneyed import Money

    from settlements.models import Settlement

    def make(**fields: Any) -> Settlement:
        defaults: dict[str, Any] = {
            "description": "Dinner in Lisbon",
            "payer": payer,
            "payee": payee,
            "amount": Money(100, "EUR"),
            "due_date": timezone.now() + timedelta(days=10),
        }
        return Settlement.objects.create(**defaults | fields)

    return make


@pytest.fixture
def settlement(make_settlement: Callable[..., Settlement]) -> Settlement:
    """A pending settlement of 100 EUR, due in ten days."""
    return make_settlement()


@pytest.fixture
def make_payment(make_settlement: Callable[..., Settlement]) -> Callable[..., Payment]:
    """Creates payments: `make_payment(settlement, status="completed")`; the whole amount unless told."""
    from settlements.models import Payment

    def make(settlement: Settlement | None = None, **fields: Any) -> Payment:
        about = settlement or make_settlement()
        return Payment.objects.create(**{"settlement": about, "amount": about.amount} | fields)

    return make
