"""Migrates once for all test processes of a run: the others copy what the first one made.

Some fifty migrations take several seconds of processor time, and six processes with two databases each
would all begin with them. Loaded with `-p tests.migrated` (pyproject.toml).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_FOLDER = "TEST_MIGRATED_FOLDER"
"""Names the folder that the processes of a run share; absent where there is one process only."""


def pytest_configure(config: pytest.Config) -> None:
    """What distributes the tests makes the folder, before it starts the processes."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="spendsync-migrated-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what was copied from."""
    if hasattr(config, "workerinput") or not (folder := os.environ.pop(_FOLDER, "")):
        return
    for template in Path(folder).glob("*.postgresql"):
        _drop(template.stem)
    shutil.rmtree(folder, ignore_errors=True)


def _drop(name: str) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(os.environ["TEST_DATABASE_URL"], dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


@contextmanager
def migrations_are_copied() -> Iterator[None]:
    """Meanwhile the command `migrate` copies what another process of this run has migrated."""
    from django.core.management.commands import migrate

    with pytest.MonkeyPatch.context() as patch:
        if _FOLDER in os.environ:
            patch.setattr(migrate.Command, "handle", _migrate_or_copy(migrate.Command.handle))
        yield


def _migrate_or_copy(migrate: Any) -> Any:
    def handle(command: Any, *arguments: Any, **options: Any) -> None:
        from django.db import connections

        connection = connections[options["database"]]
        folder = Path(os.environ[_FOLDER])
        template = (
            _SQLiteFile(connection, folder)
            if connection.vendor == "sqlite"
            else _Template(connection, folder)
        )
        with _one_at_a_time(folder / connection.alias):
            if template.is_there():
                template.copy()
            else:
                migrate(command, *arguments, **options)
                template.keep()

    return handle


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _SQLiteFile:
    """A migrated database as a file."""

    def __init__(self, connection: BaseDatabaseWrapper, folder: Path) -> None:
        self._connection = connection
        self._kept = folder / f"{connection.alias}.sqlite3"

    def is_there(self) -> bool:
        return self._kept.exists()

    def keep(self) -> None:
        self._connection.close()  # the last one to leave writes its journal into the file
        shutil.copyfile(self._connection.settings_dict["NAME"], self._kept)

    def copy(self) -> None:
        self._connection.close()
        shutil.copyfile(self._kept, self._connection.settings_dict["NAME"])


class _Template:
    """A migrated database of PostgreSQL, which nobody else connects to."""

    def __init__(self, connection: BaseDatabaseWrapper, folder: Path) -> None:
        self._connection = connection
        self._name = f"{os.environ[_NAMES[connection.alias]]}_migrated"
        self._kept = folder / f"{self._name}.postgresql"

    def is_there(self) -> bool:
        return self._kept.exists()

    def keep(self) -> None:
        self._create(self._name, of=self._connection.settings_dict["NAME"])
        self._kept.touch()

    def copy(self) -> None:
        self._create(self._connection.settings_dict["NAME"], of=self._name)

    def _create(self, name: str, of: str) -> None:
        self._connection.close()
        quote = self._connection.ops.quote_name
        with self._connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")
            cursor.execute(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(of)}")


_NAMES = {"default": "TEST_DATABASE_NAME", "other": "TEST_OTHER_DATABASE_NAME"}
