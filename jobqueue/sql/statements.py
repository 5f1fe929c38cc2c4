"""The statements that every job takes part in: insert, claim and complete, one for a batch.

Written in SQL because the ORM has no UPDATE that returns rows, and because building its queries would cost
more than running them. On PostgreSQL each has a form for one job besides: planned in half the time, which is
most of what a lone job waits for.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobqueue.models import Job

Statement = tuple[str, list[Any]]

_NOW_ON_POSTGRESQL = "statement_timestamp()"
_NOW_ON_SQLITE = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


# Insert --------------------------------------------------------------------------------------------

# What a new job says of itself, with PostgreSQL's types: the one list that makes every INSERT.
NEW_FIELDS = {
    "processor": "text",
    "queue": "text",
    "payload": "jsonb",
    "subject": "text",
    "unique_key": "text",
    "timeout": "float8",
    # Empty for a job that is due now.
    "run_at": "timestamptz",
}
_AS_TOLD = [name for name in NEW_FIELDS if name != "run_at"]


def _insert(values: str, *more: str) -> str:
    return f"""INSERT INTO jobqueue_job ({", ".join([*more, *_AS_TOLD])},
            run_at, published_at, created_at, state, attempt, failures, reason)
        {values}
        RETURNING id, created_at
    """


_TOLD_ON_POSTGRESQL = f"""
    {", ".join(_AS_TOLD)}, coalesce(run_at, {_NOW_ON_POSTGRESQL}),
        CASE WHEN run_at IS NULL THEN {_NOW_ON_POSTGRESQL} END, {_NOW_ON_POSTGRESQL}, 'waiting', 1, 0, ''
"""
_NEW_ON_POSTGRESQL = f"""
    unnest({", ".join(f"%s::{kind}[]" for kind in NEW_FIELDS.values())})
        WITH ORDINALITY AS new ({", ".join(NEW_FIELDS)}, number)
"""
_INSERT_ON_POSTGRESQL = _insert(f"SELECT {_TOLD_ON_POSTGRESQL} FROM {_NEW_ON_POSTGRESQL} ORDER BY number")
# Numbered in the order of the jobs, and written in that of their keys: two who want the same keys, named in
# opposite orders, would each wait for what the other has.
_INSERT_BY_KEY_ON_POSTGRESQL = _insert(
    f"""
    SELECT id, {_TOLD_ON_POSTGRESQL}
    FROM (
        SELECT nextval(pg_get_serial_sequence('jobqueue_job', 'id')) AS id, new.*
        FROM {_NEW_ON_POSTGRESQL} ORDER BY number
    ) AS numbered
    ORDER BY unique_key, number
    """,
    "id",
)
_INSERT_ONE_ON_POSTGRESQL = _insert(f"""
    VALUES ({", ".join("%s" for _ in _AS_TOLD)}, coalesce(%s, {_NOW_ON_POSTGRESQL}),
        CASE WHEN %s THEN {_NOW_ON_POSTGRESQL} END, {_NOW_ON_POSTGRESQL}, 'waiting', 1, 0, '')
""")
_INSERT_ON_SQLITE = _insert(f"""
    SELECT {", ".join(f"json_extract(value, '$.{name}')" for name in _AS_TOLD)},
        coalesce(json_extract(value, '$.run_at'), clock.now),
        CASE WHEN json_extract(value, '$.run_at') IS NULL THEN clock.now END, clock.now, 'waiting', 1, 0, ''
    FROM json_each(%s) JOIN (SELECT {_NOW_ON_SQLITE} AS now) AS clock
    ORDER BY key
""")
# Where the key is free the job is written; where a waiting job holds it, that one is locked until the end of
# the transaction: PostgreSQL locks what stands in the way before it looks at the last WHERE, which keeps the
# row as it is. The first WHERE is the condition of the unique index, in its words: SQLite compares texts.
_OR_LOCK = """
    ON CONFLICT (unique_key) WHERE started_at IS NULL AND state = 'waiting' AND unique_key IS NOT NULL
    DO UPDATE SET unique_key = excluded.unique_key WHERE false
    RETURNING id, created_at, unique_key
"""
_INSERT_OR_LOCK = {
    insert: by_key.replace("RETURNING id, created_at", _OR_LOCK.strip())
    for insert, by_key in (
        (_INSERT_ON_POSTGRESQL, _INSERT_BY_KEY_ON_POSTGRESQL),
        (_INSERT_ONE_ON_POSTGRESQL, _INSERT_ONE_ON_POSTGRESQL),
        # One writer at a time: nobody waits for a key.
        (_INSERT_ON_SQLITE, _INSERT_ON_SQLITE),
    )
}


def insert_statement(connection: Any, jobs: Sequence[Job]) -> Statement:
    """Write new jobs; those whose `published_at` is set are due. Returns `(id, created_at)` of each."""
    rows = [_told(job) for job in jobs]
    if connection.vendor == "sqlite":
        as_text = connection.ops.adapt_datetimefield_value
        return _INSERT_ON_SQLITE, [json.dumps(rows, default=as_text)]
    if len(rows) == 1:
        return _INSERT_ONE_ON_POSTGRESQL, [*rows[0].values(), rows[0]["run_at"] is None]
    columns = zip(*(row.values() for row in rows), strict=True)
    return _INSERT_ON_POSTGRESQL, [_array(column) for column in columns]


def insert_or_lock_statement(connection: Any, jobs: Sequence[Job]) -> Statement:
    """Write the new jobs whose unique key is free, and lock who holds the others.

    Returns `(id, created_at, unique_key)` of those that were written.
    """
    sql, parameters = insert_statement(connection, jobs)
    return _INSERT_OR_LOCK[sql], parameters


def _told(job: Job) -> dict[str, Any]:
    """What the job says of itself, as the INSERT takes it, in the order of `NEW_FIELDS`."""
    values = job.__dict__
    row = {name: values[name] for name in NEW_FIELDS}
    row["payload"] = json.dumps(row["payload"])
    if values["published_at"] is not None:
        row["run_at"] = None
    return row


# Claim ---------------------------------------------------------------------------------------------

# What a run needs; everything else is loaded when it is asked for.
CLAIMED_FIELDS = (
    *("id", "processor", "queue", "payload", "attempt", "failures", "timeout", "subject", "created_at"),
)
# Seconds since the epoch: psycopg reads times in Python, which takes as long as all other columns of a row.
# `date_part` and not `extract`, which makes a numeric of it first: 0.14 us more each.
_EPOCH_ON_POSTGRESQL = "date_part('epoch', job.{})"
# Behind the fields, for the charts: how many seconds it had waited since it was due. Of seconds since the
# epoch, for PostgreSQL refuses to subtract infinite times.
_WAITED_ON_POSTGRESQL = (
    f"{_EPOCH_ON_POSTGRESQL.format('started_at')} - {_EPOCH_ON_POSTGRESQL.format('run_at')}"
)
_WAITED_ON_SQLITE = "(julianday(started_at) - julianday(run_at)) * 86400.0"
_CLAIMED_ON_POSTGRESQL = ", ".join(
    [
        *(
            _EPOCH_ON_POSTGRESQL.format(name) if name == "created_at" else f"job.{name}"
            for name in CLAIMED_FIELDS
        ),
        _WAITED_ON_POSTGRESQL,
    ]
)
# Skipping locked rows: waiting for them would stop the whole batch behind one open transaction. `state || ''`
# keeps the planner from the indexes of waiting rows: by statistics from when there were few it would read
# them all, which doubled PostgreSQL's share of a job after a bulk of 40,000.
#
# What was due when it was published is due, though the clock has stepped back since.
_DUE_ON_POSTGRESQL = f"state || '' = 'waiting' AND (run_at <= {_NOW_ON_POSTGRESQL} OR run_at <= published_at)"
# SQLite's clock shows milliseconds, a row microseconds: what becomes due within this one is due. A job whose
# message was so quick would be dropped as early, and be a second late.
_DUE_ON_SQLITE = f"state = 'waiting' AND (run_at <= {_NOW_ON_SQLITE} || '999' OR run_at <= published_at)"


def _claim(which: str, *, now: str, deadline: str, returning: str) -> str:
    return f"""
        UPDATE jobqueue_job AS job SET state = 'active', worker_id = %s, started_at = {now},
            deadline_at = {deadline}, finished_at = NULL, reason = ''
        WHERE {which}
        RETURNING {returning}
    """


def _claim_on_postgresql(which: str) -> str:
    deadline = f"{_NOW_ON_POSTGRESQL} + job.timeout * interval '1 second'"
    return _claim(which, now=_NOW_ON_POSTGRESQL, deadline=deadline, returning=_CLAIMED_ON_POSTGRESQL)


# By arrays and not by joins: whatever the statistics say, the rows of these ids are looked up by their key,
# once. With those of an empty table (a queue that was pruned, then filled) the planner took each row of the
# table as the outer one of a join, and looked for the messages anew for each: 272 messages among 3,000 rows
# took 270 ms, among 60,000 seconds. So they take 3.5 ms among 100,000, and a join with good statistics 3.6.
_CLAIM_ON_POSTGRESQL = _claim_on_postgresql(f"""
    job.id = ANY(ARRAY(
        SELECT waiting.id FROM jobqueue_job AS waiting
        WHERE waiting.id = ANY(%s::bigint[]) AND {_DUE_ON_POSTGRESQL}
            AND waiting.attempt = (%s::int[])[array_position(%s::bigint[], waiting.id)]
        FOR UPDATE SKIP LOCKED
    ))
""")
_CLAIM_ONE_ON_POSTGRESQL = _claim_on_postgresql(f"""
    job.id = (
        SELECT id FROM jobqueue_job WHERE id = %s AND attempt = %s AND {_DUE_ON_POSTGRESQL}
        FOR UPDATE SKIP LOCKED
    )
""")
_CLAIM_ON_SQLITE = _claim(
    f"(id, attempt) IN (VALUES {{values}}) AND {_DUE_ON_SQLITE}",
    now=_NOW_ON_SQLITE,
    deadline=_NOW_ON_SQLITE.replace("'now'", "'now', '+' || timeout || ' seconds'"),
    returning=", ".join([*CLAIMED_FIELDS, _WAITED_ON_SQLITE]),
)


def claim_statement(connection: Any, messages: Sequence[tuple[int, int]], worker_id: uuid.UUID) -> Statement:
    """Make these `(job id, attempt)` active, if they wait and are due.

    Returns `CLAIMED_FIELDS` of each, and the seconds that it had waited.
    """
    if connection.vendor == "sqlite":
        values = ", ".join(["(%s, %s)"] * len(messages))
        numbers = [number for message in messages for number in message]
        return _CLAIM_ON_SQLITE.format(values=values), [worker_id.hex, *numbers]
    if len(messages) == 1:
        return _CLAIM_ONE_ON_POSTGRESQL, [worker_id, *messages[0]]
    # Of two attempts of a job its row can only be in the later one.
    latest = dict(sorted(messages))
    ids = _array(list(latest))
    return _CLAIM_ON_POSTGRESQL, [worker_id, ids, _array(list(latest.values())), ids]


# Complete ------------------------------------------------------------------------------------------

# The guard of `jobqueue.models.transitions`, in SQL: what is active belongs to the worker that claimed it.
HELD = "(job.id, job.attempt) {one_of} AND job.state = 'active' AND job.worker_id = %s"
_COMPLETE_ON_POSTGRESQL = f"""
    UPDATE jobqueue_job AS job
    SET state = 'completed', finished_at = {_NOW_ON_POSTGRESQL}, reason = coalesce(done.reason, '')
    FROM unnest(%s::bigint[], %s::int[], %s::text[]) AS done (id, attempt, reason)
    WHERE {HELD.format(one_of="= (done.id, done.attempt)")}
    RETURNING job.id
"""
_COMPLETE_ONE_ON_POSTGRESQL = f"""
    UPDATE jobqueue_job AS job
    SET state = 'completed', finished_at = {_NOW_ON_POSTGRESQL}, reason = %s
    WHERE {HELD.format(one_of="= (%s, %s)")}
    RETURNING job.id
"""
_COMPLETE_ON_SQLITE = f"""
    WITH done (id, attempt, reason) AS (VALUES {{values}})
    UPDATE jobqueue_job AS job
    SET state = 'completed', finished_at = {_NOW_ON_SQLITE},
        reason = (SELECT done.reason FROM done WHERE done.id = job.id)
    WHERE {HELD.format(one_of="IN (SELECT done.id, done.attempt FROM done)")}
    RETURNING id
"""


def complete_statement(
    connection: Any, done: Sequence[tuple[int, int, str]], worker_id: uuid.UUID
) -> Statement:
    """Complete these `(job id, attempt, reason)`, if this worker holds them. Returns the id of each."""
    if connection.vendor == "sqlite":
        values = ", ".join(["(%s, %s, %s)"] * len(done))
        return _COMPLETE_ON_SQLITE.format(values=values), [*(v for row in done for v in row), worker_id.hex]
    if len(done) == 1:
        job_id, attempt, reason = done[0]
        return _COMPLETE_ONE_ON_POSTGRESQL, [reason, job_id, attempt, worker_id]
    ids, attempts, reasons = zip(*done, strict=True)
    # A shorter array is filled up with NULL.
    texts = _array(reasons) if any(reasons) else "{}"
    return _COMPLETE_ON_POSTGRESQL, [_array(ids), _array(attempts), texts, worker_id]


# ----------------------------------------------------------------------------------------------------

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
