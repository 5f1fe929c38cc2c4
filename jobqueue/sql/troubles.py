"""Of which kind an outage is, and of which database, for people who look and programs that ask.

Wider than what jobs are run again for (`is_outage`): whoever looks is told that the database cannot be
used after a refused login and of a replica too, though no waiting mends these.
"""

from __future__ import annotations

import sqlite3
import traceback
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from jobqueue.exceptions import BrokerUnavailable

# PostgreSQL's: a read-only transaction, a full disk.
_TAKES_NO_CHANGES = frozenset({"25006", "53100"})
_BUSY = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, locks
# Connections, logins, resources, shutdowns, the disk; a commit without an answer; no such database.
_AWAY = ("08", "28", "53", "57P", "58030", "40003", "3D000")
# SQLite's primary codes.
_READ_ONLY, _FULL = sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNREACHABLE = frozenset(
    {sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB}
)
# How far an error's causes are followed.
_MOST_CAUSES = 10


class Trouble(Enum):
    """What keeps a store from being used."""

    AWAY = auto()
    TAKES_NO_CHANGES = auto()
    BUSY = auto()
    REDIS_AWAY = auto()


@dataclass(frozen=True, slots=True)
class Outage:
    """That a store cannot be used now."""

    trouble: Trouble
    using: str = ""
    """The alias of the database; empty of Redis, and where it is not known."""


def outage_of(error: BaseException | None) -> Outage | None:
    """What this error, or what it was raised `from`, says of the stores; None if it says nothing of them."""
    for _ in range(_MOST_CAUSES):
        if error is None:
            break
        if isinstance(error, BrokerUnavailable):
            return Outage(Trouble.REDIS_AWAY)
        if isinstance(error, Error) and (trouble := _trouble(error.__cause__)):
            return Outage(trouble, _alias_in(error))
        error = error.__cause__
    return None


def _trouble(driver: BaseException | None) -> Trouble | None:
    if isinstance(driver, sqlite3.Error):
        return _of_sqlite(getattr(driver, "sqlite_errorcode", 0) & 0xFF)
    if driver is None or not type(driver).__module__.startswith("psycopg"):
        return None
    state = getattr(driver, "sqlstate", None) or ""
    if state in _TAKES_NO_CHANGES:
        return Trouble.TAKES_NO_CHANGES
    if state in _BUSY:
        return Trouble.BUSY
    is_away = state.startswith(_AWAY) if state else _is_of_connection(driver)
    return Trouble.AWAY if is_away else None


def _of_sqlite(code: int) -> Trouble | None:
    if code in (_READ_ONLY, _FULL):
        return Trouble.TAKES_NO_CHANGES
    if code in _LOCKED:
        return Trouble.BUSY
    return Trouble.AWAY if code in _UNREACHABLE else None


def _is_of_connection(driver: BaseException) -> bool:
    """Without a code: the server was not reached, refused the connection, or has gone."""
    kinds = {kind.__name__ for kind in type(driver).__mro__}
    text = str(driver)
    return "OperationalError" in kinds or ("InterfaceError" in kinds and "closed" in text)


def _alias_in(error: BaseException) -> str:
    """The database whose connection raised it: the innermost of the calls that the error came through."""
    found = ""
    for frame, _line in traceback.walk_tb(error.__traceback__):
        caller: Any = frame.f_locals.get("self")
        # By its type alone: to ask a lazy object for anything, such as the user, may ask the database.
        if issubclass(type(caller), BaseDatabaseWrapper):
            found = caller.alias
        elif issubclass(type(caller), CursorWrapper):
            found = caller.db.alias
    return found
