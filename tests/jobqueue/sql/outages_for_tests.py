"""Databases of a project that are away, locked or full, for tests on either database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import ConnectionHandler, DatabaseError

from spendsync_site.demo.processes import LOOPBACK, free_port


def caught(call: Callable[[], Any]) -> Exception:
    """The error that Django raises of its own there."""
    try:
        call()
    except DatabaseError as error:
        return error
    raise AssertionError("it was possible")


def sqlite_file(path: Path) -> Any:
    """A connection of Django's to a SQLite file, which waits for nobody."""
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": {"timeout": 0}}
    return ConnectionHandler({"default": settings})["default"]


def execute(connection: Any, sql: str) -> None:
    """Run one statement by way of Django."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection has the write lock of the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def locked_error(folder: Path) -> Exception:
    """What a write says meanwhile."""
    connection = sqlite_file(folder / "file.sqlite3")
    execute(connection, "CREATE TABLE sample (id integer primary key)")
    with locked(folder / "file.sqlite3"):
        error = caught(lambda: execute(connection, "INSERT INTO sample DEFAULT VALUES"))
    connection.close()
    return error


def unreachable_server() -> Any:
    """A connection of Django's to a PostgreSQL that nobody has started."""
    settings = {
        **{"ENGINE": "django.db.backends.postgresql", "NAME": "site", "USER": "postgres"},
        **{"HOST": LOOPBACK, "PORT": free_port()},
    }
    return ConnectionHandler({"default": settings})["default"]
