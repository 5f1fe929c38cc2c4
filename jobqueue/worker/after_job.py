"""What a job leaves in its thread is put in order before the next one starts there."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from jobqueue.exceptions import TransactionLeftOpen
from jobqueue.worker import children, performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import DONE, Outcome


class _Thread(threading.local):
    """What a thread that runs jobs knows of its connections: asking Django would cost more than a job."""

    def __init__(self) -> None:
        self.runs_jobs = False
        self.opened: dict[str, BaseDatabaseWrapper] = {}
        self.altered: set[str] = set()
        self.wrappers: dict[str, list[Callable[..., Any]]] = {}
        self.logs_queries: dict[str, bool] = {}


_thread = _Thread()


def begin_thread() -> Context:
    """This thread runs jobs from now on. Returns the context of which each of them gets a copy.

    Language, time zone, decimals, and all else that Python keeps in a context, are each job's own. Clients of
    caches, which Django keeps there too, are the thread's: they may hold connections.
    """
    _thread.runs_jobs = True
    for alias in settings.CACHES:
        with suppress(Exception):  # one that cannot be made tells the job that asks for it
            caches[alias]
    return copy_context()


def clean_up(outcome: Outcome) -> Outcome:
    """Leave nothing of a job that has ended in this thread, or beside it; what became of it then.

    The processes that it started end if it failed. A transaction that it left open is rolled back, and the
    job has failed: what it wrote is undone. A connection whose session it altered is closed.
    """
    children.let_go_of(outcome.job, kills=outcome.status not in DONE)
    if not _thread.opened:
        return outcome
    left_open = [
        using for using, connection in list(_thread.opened.items()) if not _is_clean(using, connection)
    ]
    if left_open and outcome.status in DONE:
        error = TransactionLeftOpen(
            f"the job ended and left a transaction open in the database {left_open[0]!r}; "
            "what it wrote there is rolled back"
        )
        return performing.failed_outcome(Claim(outcome.job, outcome.using), error, outcome.seconds)
    return outcome


def _is_clean(using: str, connection: BaseDatabaseWrapper) -> bool:
    """Put one connection in order; False if a transaction was open on it."""
    if connection.queries_log:
        connection.queries_log.clear()
    if connection.force_debug_cursor:
        connection.force_debug_cursor = _thread.logs_queries[using]
    if len(connection.execute_wrappers) > len(_thread.wrappers[using]):
        connection.execute_wrappers[:] = _thread.wrappers[using]
    if connection.connection is None:
        return True  # closed: to ask it anything would open it, which fails while the database is away
    is_open = connection.in_atomic_block or _is_in_transaction(connection.connection)
    if connection.in_atomic_block:
        # Django cannot use it again; the next job gets a new one.
        connection.close()
        del connections[using]
        del _thread.opened[using]
    elif is_open or not connection.autocommit or using in _thread.altered:
        connection.close()
    elif connection.errors_occurred:
        connection.close_if_unusable_or_obsolete()
    return not is_open


def _is_in_transaction(raw: Any) -> bool:
    """Whether the driver's connection has a transaction open, by what it knows without asking."""
    if (libpq := getattr(raw, "pgconn", None)) is not None:
        return bool(0 < libpq.transaction_status < 4)  # psycopg: neither idle nor closed
    return bool(getattr(raw, "in_transaction", False))  # sqlite3


# What a statement may leave in a session -----------------------------------------------------------

_PLAIN = ("SELECT", "INSERT", "UPDATE", "DELETE", "SAVEPOINT", "RELEASE", "ROLLBACK", "WITH", "BEGIN")
_HARMLESS = re.compile(
    r"\s*(select|insert|update|delete|with|values|merge|copy|savepoint|release|rollback|begin|commit|start|end"
    r"|explain|lock|truncate|notify|analyze|set\s+(local|constraints|transaction)|pragma\s+foreign_key_check)\b",
    re.IGNORECASE,
)
_LASTS = re.compile(r"set_config\s*\(|advisory_lock(?:_shared)?\s*\(", re.IGNORECASE)


def _watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Note that a statement alters the session of its connection: SET, PRAGMA, LISTEN, an advisory lock."""
    is_plain = isinstance(sql, str) and sql.startswith(_PLAIN)
    if not is_plain or "advisory_" in sql or "set_config" in sql:
        _look_at(str(sql), context["connection"].alias)
    return execute(sql, params, many, context)


def _look_at(sql: str, using: str) -> None:
    if not _HARMLESS.match(sql) or _LASTS.search(sql):
        _thread.altered.add(using)


def _note_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if not _thread.runs_jobs:
        return
    _thread.opened[connection.alias] = connection
    _thread.altered.discard(connection.alias)
    if _watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(_watch)
    # What the project gave it when it was made is no job's.
    _thread.wrappers[connection.alias] = list(connection.execute_wrappers)
    _thread.logs_queries[connection.alias] = connection.force_debug_cursor


connection_created.connect(_note_connection, dispatch_uid="jobqueue.worker.after_job")
