"""Transactions that write, on whatever OPTIONS a project has for SQLite.

SQLite has one writer at a time. Django's own settings begin a transaction without a lock: one that read
first cannot wait when it comes to write, and whoever waits gives up after five seconds. Ours take the lock
for writing before anything else, and wait longer than that.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError, connections
from django.db.transaction import Atomic, on_commit

Result = TypeVar("Result")

# Seconds that a step of ours waits for SQLite's lock, however soon the connection gives up. A process that
# waits asks again and again and may be passed over: with 100 that write all the time it takes seconds.
WAITS_FOR = 60.0
# What a worker's own connections get where the project's OPTIONS say nothing.
_OF_A_WORKER = {"transaction_mode": "IMMEDIATE", "timeout": 60}
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def writing(using: str, *, savepoint: bool = True) -> Atomic:
    """As `transaction.atomic`, for what writes: on SQLite it begins by waiting for its turn."""
    kind = _WritesFirst if connections[using].vendor == "sqlite" else Atomic
    return kind(using, savepoint, False)


def run_when_free(using: str, step: Callable[[], Result]) -> Result:
    """Take a step that writes; outside of a transaction it is taken again for as long as SQLite is locked."""
    connection = connections[using]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return step()
    turn = _turn(using)
    deadline = time.monotonic() + WAITS_FOR
    is_ours = turn.acquire(timeout=WAITS_FOR)
    try:
        return _again_while_locked(step, deadline)
    finally:
        if is_ours:
            turn.release()


def _again_while_locked(step: Callable[[], Result], deadline: float) -> Result:
    while True:
        try:
            return step()
        except OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise


def is_locked(error: BaseException) -> bool:
    """Whether SQLite says that somebody else writes, or reads what is to be written."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF in _LOCKED


def wait_for_locks_in_this_process() -> None:
    """Let every connection that this process opens from now on take its turn; for workers' processes.

    What a project's OPTIONS name stays as it is. The transactions of jobs begin so too: one that reads and
    then writes waits for its turn, where it would fail.
    """
    for using in connections:
        if connections[using].vendor == "sqlite":
            settings = connections.settings[using]
            settings["OPTIONS"] = {**_OF_A_WORKER, **settings["OPTIONS"]}


# Threads of one process queue up here: of those that ask SQLite itself again and again some are passed over.
_turns: dict[str, threading.RLock] = {}
os.register_at_fork(after_in_child=_turns.clear)


def _turn(using: str) -> threading.RLock:
    return _turns.setdefault(using, threading.RLock())


def begins_without_the_lock(using: str) -> bool:
    """Whether transactions of this project begin on SQLite without the lock for writing."""
    if connections[using].vendor != "sqlite":
        return False
    mode = connections.settings[using]["OPTIONS"].get("transaction_mode")
    return str(mode or "").upper() not in ("IMMEDIATE", "EXCLUSIVE")


class _WritesFirst(Atomic):
    """An outermost block begins with the lock for writing."""

    using: str
    _turn: threading.RLock | None = None

    def __enter__(self) -> None:
        connection: Any = connections[self.using]
        if connection.in_atomic_block or not connection.get_autocommit():
            return super().__enter__()
        connection.ensure_connection()
        deadline = time.monotonic() + WAITS_FOR
        turn = _turn(self.using)
        self._turn = turn if turn.acquire(timeout=WAITS_FOR) else None
        before = connection.transaction_mode
        connection.transaction_mode = before if before == "EXCLUSIVE" else "IMMEDIATE"
        try:
            _again_while_locked(super().__enter__, deadline)
        except BaseException:
            self._let_go()
            raise
        finally:
            connection.transaction_mode = before
        # What others registered for the commit may take its time.
        on_commit(self._let_go, using=self.using)

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()
