"""The statements that every job takes part in: insert, claim and complete, one for a batch.

Written in SQL because the ORM has no UPDATE that returns rows, and because building its queries would cost
more than running them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobqueue.models import Job

Statement = tuple[str, list[Any]]
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
OF_ONE_JOB = frozenset(
    {
        _INSERT_ONE_ON_POSTGRESQL,
        _INSERT_OR_LOCK[_INSERT_ONE_ON_POSTGRESQL],
        _CLAIM_ONE_ON_POSTGRESQL,
        _COMPLETE_ONE_ON_POSTGRESQL,
    }
)


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
