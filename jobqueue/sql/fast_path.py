"""Runs the statements of jobs on cursors that a connection keeps, prepared where it may: one door, `run`.

What it saves of a lone job's three statements on PostgreSQL (insert, claim, complete; medians in alternation,
time on the processor, client and server): Django's cursor takes 808 and 1105 us, a kept one 743 and 1086,
a kept one that prepares 697 and 710; seen from the client the three take 1.67, 1.55 and 0.93 ms at best.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError

from jobqueue.sql.statements import OF_ONE_JOB, Statement
from jobqueue.sql.writing import run_when_free

# Where a connection keeps its cursors, and from how many characters of a parameter on it does not.
_KEPT = "_jobqueue_cursor"
_KEPT_PREPARED = "_jobqueue_prepared_cursor"
_LARGE = 16 * 1024
# Where psycopg's connection keeps until when its plans are good, and for how many seconds they are: a plan
# that was made while the table was small would read all of it later.
_PLANNED_UNTIL = "_jobqueue_planned_until"
_PLAN_LIVES = 60.0
# What PostgreSQL says of a prepared statement that it does not know, that another client prepared under its
# name, or whose columns were altered: it did not run.
_NOT_AS_PREPARED = frozenset({"26000", "42P05", "0A000"})
_refusals = 0


def run(connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
    """Execute the statement; the rows that it returns.

    On PostgreSQL with a cursor that the connection keeps. The statements of one job are prepared where the
    database's OPTIONS have psycopg's `prepare_threshold`.
    """
    sql, parameters = statement
    # Who put another `cursor` in its place, a test for instance, is asked.
    if connection.vendor != "postgresql" or "cursor" in vars(connection) or _is_large(parameters):
        return run_when_free(connection.alias, lambda: _run_plainly(connection, sql, parameters))
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    connection.validate_no_broken_transaction()
    may_prepare = getattr(connection.connection, "prepare_threshold", None) is not None
    # What is logged is to be seen with its parameters.
    if may_prepare and sql in OF_ONE_JOB and not connection.queries_logged:
        return _run_prepared(connection, sql, parameters)
    return _run_kept(connection, sql, parameters, _KEPT)


def _run_plainly(connection: Any, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _run_prepared(connection: Any, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    global _refusals
    # After a refusal another text, which is another statement.
    numbered = f"{sql} -- {_refusals}"
    try:
        return _run_kept(connection, numbered, parameters, _KEPT_PREPARED)
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", "") not in _NOT_AS_PREPARED:
            raise
        _refusals += 1
        if connection.in_atomic_block:
            raise
    return _run_kept(connection, sql, parameters, _KEPT)


def _run_kept(connection: Any, sql: str, parameters: list[Any], kept: str) -> list[tuple[Any, ...]]:
    with connection.wrap_database_errors:
        raw = _take_cursor(connection, kept)
    if connection.queries_logged or connection.execute_wrappers:
        make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
        cursor = make(raw)
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    else:
        # What Django's cursor would do besides, without its layers: these take 0.1 ms from an idle start.
        with connection.wrap_database_errors:
            raw.execute(sql, parameters)
            rows = raw.fetchall()
    vars(connection)[kept] = raw
    return rows


def _take_cursor(connection: Any, kept: str) -> Any:
    """The kept cursor, which nobody else can take while it is used, or a new one."""
    cursor = vars(connection).pop(kept, None)
    if cursor is None or cursor.closed or cursor.connection is not connection.connection:
        cursor = connection.create_cursor() if kept == _KEPT else _preparing_cursor(connection)
    if kept == _KEPT_PREPARED:
        _plan_anew_after_a_while(cursor)
    return cursor


def _plan_anew_after_a_while(cursor: Any) -> None:
    now, remembered = time.monotonic(), vars(cursor.connection)
    if now > remembered.setdefault(_PLANNED_UNTIL, now + _PLAN_LIVES):
        cursor.execute("DISCARD PLANS")
        remembered[_PLANNED_UNTIL] = now + _PLAN_LIVES


def _preparing_cursor(connection: Any) -> Any:
    """A cursor that sends parameters apart. Django's writes them into the statement: no two are the same."""
    twin = connection.copy()
    twin.settings_dict["OPTIONS"] = {**connection.settings_dict["OPTIONS"], "server_side_binding": True}
    factory = twin.get_connection_params()["cursor_factory"]
    return factory(connection.connection)


def _is_large(parameters: Sequence[Any]) -> bool:
    """Whether a cursor that is kept should not: it holds on to its last statement and answer."""
    return any(isinstance(value, str) and len(value) > _LARGE for value in parameters)
