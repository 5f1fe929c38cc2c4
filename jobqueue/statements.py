"""The statements that every job takes part in: insert, claim and complete, one for a batch.

Written in SQL because the ORM has no UPDATE that returns rows, and because building its queries would cost
more than running them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

if TYPE_CHECKING:
    from jobqueue.models import Job

Statement = tuple[str, list[Any]]

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

# What a run needs; everything else is loaded when it is asked for.
CLAIMED_FIELDS = (
    *("id", "processor", "queue", "payload", "attempt", "failures", "timeout", "subject", "created_at"),
)
_CLAIMED_COLUMNS = ", ".join(f"job.{name}" for name in CLAIMED_FIELDS)
# Seconds since the epoch: psycopg reads times in Python, which takes as long as all other columns of a row.
_CLAIMED_ON_POSTGRESQL = _CLAIMED_COLUMNS.replace(
    "job.created_at", "extract(epoch FROM job.created_at)::float8"
)
_SQLITE_NOW = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"

# Skipping locked rows: waiting for them would stop the whole batch behind one open transaction. `state || ''`
# keeps the planner from the indexes of waiting rows: by statistics from when there were few it would read
# them all, which doubled PostgreSQL's share of a job after a bulk of 40,000.
_CLAIM_ON_POSTGRESQL = f"""
    UPDATE jobqueue_job AS job SET state = 'active', worker_id = %s, started_at = statement_timestamp(),
        deadline_at = statement_timestamp() + job.timeout * interval '1 second',
        finished_at = NULL, reason = ''
    WHERE job.id IN (
        SELECT waiting.id FROM jobqueue_job AS waiting
        JOIN unnest(%s::bigint[], %s::int[]) AS message (id, attempt)
            ON waiting.id = message.id AND waiting.attempt = message.attempt
        WHERE waiting.state || '' = 'waiting' AND waiting.run_at <= statement_timestamp()
        FOR UPDATE OF waiting SKIP LOCKED
    )
    RETURNING {_CLAIMED_ON_POSTGRESQL}
"""  # noqa: S608 - only names of columns
_CLAIM_ON_SQLITE = f"""
    UPDATE jobqueue_job AS job SET state = 'active', worker_id = %s, started_at = {_SQLITE_NOW},
        deadline_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+' || timeout || ' seconds'),
        finished_at = NULL, reason = ''
    WHERE (id, attempt) IN (VALUES {{values}}) AND state = 'waiting' AND run_at <= {_SQLITE_NOW}
    RETURNING {_CLAIMED_COLUMNS.replace("job.", "")}
"""  # noqa: S608 - only names of columns
# One message: planned in half the time, which is most of what a lone job waits for.
_CLAIM_ONE_ON_POSTGRESQL = f"""
    {_CLAIM_ON_POSTGRESQL[: _CLAIM_ON_POSTGRESQL.index("WHERE")]}
    WHERE job.id = (
        SELECT id FROM jobqueue_job
        WHERE id = %s AND attempt = %s AND state || '' = 'waiting' AND run_at <= statement_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    RETURNING {_CLAIMED_ON_POSTGRESQL}
"""  # noqa: S608 - only names of columns
_INSERT = """INSERT INTO jobqueue_job (processor, queue, payload, subject, unique_key, timeout,
        run_at, published_at, created_at, state, attempt, failures, reason)
"""
_INSERT_ON_POSTGRESQL = (
    _INSERT
    + """
    SELECT processor, queue, payload, subject, unique_key, timeout, coalesce(run_at, statement_timestamp()),
        CASE WHEN run_at IS NULL THEN statement_timestamp() END, statement_timestamp(), 'waiting', 1, 0, ''
    FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::text[], %s::text[], %s::float8[], %s::timestamptz[])
        WITH ORDINALITY AS new (processor, queue, payload, subject, unique_key, timeout, run_at, number)
    ORDER BY number
    RETURNING id, created_at
"""
)
_INSERT_ONE_ON_POSTGRESQL = (
    _INSERT
    + """
    VALUES (%s, %s, %s, %s, %s, %s, coalesce(%s, statement_timestamp()),
        CASE WHEN %s THEN statement_timestamp() END, statement_timestamp(), 'waiting', 1, 0, '')
    RETURNING id, created_at
"""
)
_INSERT_ON_SQLITE = (
    _INSERT
    + f"""
    SELECT {", ".join(f"json_extract(value, '$[{index}]')" for index in range(6))},
        coalesce(json_extract(value, '$[6]'), clock.now),
        CASE WHEN json_extract(value, '$[6]') IS NULL THEN clock.now END, clock.now, 'waiting', 1, 0, ''
    FROM json_each(%s) JOIN (SELECT {_SQLITE_NOW} AS now) AS clock
    ORDER BY key
    RETURNING id, created_at
"""
)
# Where the key is free the job is written; where a waiting job holds it, that one is locked until the end of
# the transaction: PostgreSQL locks what stands in the way before it looks at the last WHERE, which keeps the
# row as it is. The first WHERE is the condition of the unique index, in its words: SQLite compares texts.
_OR_LOCK = """
    ON CONFLICT (unique_key) WHERE started_at IS NULL AND state = 'waiting' AND unique_key IS NOT NULL
    DO UPDATE SET unique_key = excluded.unique_key WHERE false
    RETURNING id, created_at, unique_key
"""
_INSERT_OR_LOCK = {
    insert: insert.replace("RETURNING id, created_at", _OR_LOCK.strip())
    for insert in (_INSERT_ON_POSTGRESQL, _INSERT_ONE_ON_POSTGRESQL, _INSERT_ON_SQLITE)
}
_COMPLETE_ON_POSTGRESQL = """
    UPDATE jobqueue_job AS job
    SET state = 'completed', finished_at = statement_timestamp(), reason = coalesce(done.reason, '')
    FROM unnest(%s::bigint[], %s::int[], %s::text[]) AS done (id, attempt, reason)
    WHERE job.id = done.id AND job.attempt = done.attempt AND job.state = 'active' AND job.worker_id = %s
    RETURNING job.id
"""
_COMPLETE_ONE_ON_POSTGRESQL = """
    UPDATE jobqueue_job SET state = 'completed', finished_at = statement_timestamp(), reason = %s
    WHERE id = %s AND attempt = %s AND state = 'active' AND worker_id = %s
    RETURNING id
"""
_COMPLETE_ON_SQLITE = f"""
    WITH done (id, attempt, reason) AS (VALUES {{values}})
    UPDATE jobqueue_job
    SET state = 'completed', finished_at = {_SQLITE_NOW},
        reason = (SELECT done.reason FROM done WHERE done.id = jobqueue_job.id)
    WHERE (id, attempt) IN (SELECT done.id, done.attempt FROM done) AND state = 'active' AND worker_id = %s
    RETURNING id
"""  # noqa: S608 - only placeholders


# The statements of a lone job, which finds its servers idle: there planning takes as long as running them.
_OF_ONE_JOB = frozenset(
    {
        _INSERT_ONE_ON_POSTGRESQL,
        _INSERT_OR_LOCK[_INSERT_ONE_ON_POSTGRESQL],
        _CLAIM_ONE_ON_POSTGRESQL,
        _COMPLETE_ONE_ON_POSTGRESQL,
    }
)
_refusals = 0


def run(connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
    """Execute the statement; the rows that it returns.

    On PostgreSQL with a cursor that the connection keeps: a new one costs a lone job 0.1 ms. The statements
    of one job are prepared where the database's OPTIONS have psycopg's `prepare_threshold`.
    """
    sql, parameters = statement
    # Who put another `cursor` in its place, a test for instance, is asked.
    if connection.vendor != "postgresql" or "cursor" in vars(connection) or _is_large(parameters):
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    connection.validate_no_broken_transaction()
    may_prepare = getattr(connection.connection, "prepare_threshold", None) is not None
    # What is logged is to be seen with its parameters.
    if may_prepare and sql in _OF_ONE_JOB and not connection.queries_logged:
        return _run_prepared(connection, sql, parameters)
    return _run_kept(connection, sql, parameters, _KEPT)


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


def _array(values: Sequence[Any]) -> str:
    """The values as PostgreSQL writes an array: psycopg would take several times as long for a list."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else value.isoformat()
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def claim_statement(connection: Any, messages: Sequence[tuple[int, int]], worker_id: uuid.UUID) -> Statement:
    if connection.vendor == "postgresql" and len(messages) == 1:
        return _CLAIM_ONE_ON_POSTGRESQL, [worker_id, *messages[0]]
    if connection.vendor == "postgresql":
        ids, attempts = zip(*messages, strict=True)
        return _CLAIM_ON_POSTGRESQL, [worker_id, _array(ids), _array(attempts)]
    values = ", ".join(["(%s, %s)"] * len(messages))
    return _CLAIM_ON_SQLITE.format(values=values), [
        worker_id.hex,
        *(number for pair in messages for number in pair),
    ]


def insert_statement(connection: Any, jobs: Sequence[Job]) -> Statement:
    rows = [
        (
            job.processor, job.queue, json.dumps(job.payload), job.subject, job.unique_key, job.timeout,
            None if job.published_at is not None else job.run_at,
        )
        for job in jobs
    ]  # fmt: skip
    if connection.vendor == "postgresql" and len(rows) == 1:
        return _INSERT_ONE_ON_POSTGRESQL, [*rows[0], rows[0][-1] is None]
    if connection.vendor == "postgresql":
        return _INSERT_ON_POSTGRESQL, [_array(column) for column in zip(*rows, strict=True)]
    as_text = connection.ops.adapt_datetimefield_value
    return _INSERT_ON_SQLITE, [json.dumps([(*row[:-1], row[-1] and as_text(row[-1])) for row in rows])]


def insert_or_lock_statement(connection: Any, jobs: Sequence[Job]) -> Statement:
    sql, parameters = insert_statement(connection, jobs)
    return _INSERT_OR_LOCK[sql], parameters


def complete_statement(
    connection: Any, done: Sequence[tuple[int, int, str]], worker_id: uuid.UUID
) -> Statement:
    if connection.vendor == "postgresql" and len(done) == 1:
        job_id, attempt, reason = done[0]
        return _COMPLETE_ONE_ON_POSTGRESQL, [reason, job_id, attempt, worker_id]
    if connection.vendor == "postgresql":
        ids, attempts, reasons = zip(*done, strict=True)
        # A shorter array is filled up with NULL.
        texts = _array(reasons) if any(reasons) else "{}"
        return _COMPLETE_ON_POSTGRESQL, [_array(ids), _array(attempts), texts, worker_id]
    values = ", ".join(["(%s, %s, %s)"] * len(done))
    return _COMPLETE_ON_SQLITE.format(values=values), [
        *(value for row in done for value in row),
        worker_id.hex,
    ]
