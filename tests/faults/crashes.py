"""A PostgreSQL that tests kill, with what it had not written to its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from django.db import connection

from benchmarks.servers import PostgreSQLServer
from tests.servers import ROOT, subprocess_environment

_MIGRATED, _NAME = "migrated", "site"


class CrashingPostgreSQL:
    """A durable PostgreSQL, with all tables in a database that `renew` makes anew for each test."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._server = PostgreSQLServer(folder / "postgresql", environment)
        self._is_up = False
        self._held: int | None = None

    @property
    def url(self) -> str:
        """The address of the test's database."""
        return self._server.url(_NAME)

    def start(self) -> None:
        """Start the server and make the tables."""
        self._server.start()
        self._is_up = True
        self.execute(f"CREATE DATABASE {_MIGRATED}", database="postgres")
        environment = subprocess_environment(DATABASE_URL=self._server.url(_MIGRATED), OTHER_DATABASE_URL="")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)

    def renew(self) -> None:
        """Empty the test's database, whatever the last test left of the server."""
        self._let_go()
        if not self._is_up:
            self.start_again()
        self.execute(f"DROP DATABASE IF EXISTS {_NAME} WITH (FORCE)", database="postgres")
        self.execute(f"CREATE DATABASE {_NAME} TEMPLATE {_MIGRATED}", database="postgres")

    def execute(self, *statements: str, database: str = _NAME) -> tuple[object, ...] | None:
        """Run the statements on a connection of their own; the first row that the last of them returns."""
        with self._server.connect(database) as own:
            for statement in statements:
                cursor = own.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def stop_writing_ahead(self) -> None:
        """From now on only commits that wait for the disk bring anything there."""
        found = self.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
        assert found is not None
        self._held = int(str(found[0]))
        os.kill(self._held, signal.SIGSTOP)

    def crash(self) -> None:
        """Kill the server: what did not reach its disk is forgotten."""
        self._server.crash()
        self._is_up, self._held = False, None

    def start_again(self) -> None:
        """Start the server with what its disk has."""
        connection.close()  # it broke in the crash
        self._server.start_again()
        self._is_up = True

    def stop(self) -> None:
        """End the server."""
        self._let_go()
        self._server.stop()

    def _let_go(self) -> None:
        # Who sleeps keeps the server from ending.
        if self._held is not None:
            with suppress(ProcessLookupError):
                os.kill(self._held, signal.SIGCONT)
        self._held = None

    @contextmanager
    def as_the_database(self) -> Iterator[None]:
        """Meanwhile this process, and the workers that it starts, work on the test's database."""
        values = {"HOST": "127.0.0.1", "PORT": self._server.port, "USER": "postgres", "NAME": _NAME}
        with pytest.MonkeyPatch.context() as patch:
            connection.close()
            for name, value in values.items():
                patch.setitem(connection.settings_dict, name, value)
            patch.setenv("DATABASE_URL", self.url)
            yield
            connection.close()


Server = TypeVar("Server", bound=CrashingPostgreSQL)


@contextmanager
def running(kind: Callable[[Path], Server]) -> Iterator[Server]:
    """A server of this kind, which runs meanwhile."""
    # Not in a folder of pytest's, which nobody else may enter: PostgreSQL is another user.
    folder = Path(tempfile.mkdtemp(prefix="spendsync-postgresql-"))
    folder.chmod(0o755)
    server = kind(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
