"""How much a question reads: what must not grow with the table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from jobqueue.broker import chart
from jobqueue.broker.chart import PERIOD, Group
from jobqueue.broker.connections import client_for
from jobqueue.broker.keys import PATTERNS
from jobqueue.broker.tallies import Tally
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import SUCCEED


def add_open_jobs(number: int) -> None:
    """So many jobs that wait, so many that are delayed and so many that failed, as the planner knows."""
    tomorrow = database_now("default") + timedelta(days=1)
    for fields in ({"published_at": Now()}, {"run_at": tomorrow}, {"state": "failed"}):
        job = Job.objects.create(processor=SUCCEED, queue="email", timeout=1, **fields)
        _repeat(job, number - 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            # A few thousand rows are read as a whole and sorted sooner than by an index; a million are not.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")


def _repeat(job: Job, times: int) -> None:
    """Add so many rows like that one: the database does it in a hundredth of the time."""
    columns = ", ".join(field.column for field in Job._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO jobqueue_job ({columns})
            WITH RECURSIVE series (number) AS (
                SELECT 1 UNION ALL SELECT number + 1 FROM series WHERE number < %s
            )
            SELECT {columns} FROM jobqueue_job CROSS JOIN series WHERE id = %s""",
            [times, job.pk],
        )


def work_of(question: Callable[[], Any]) -> int:
    """How many rows PostgreSQL reads for it, or how many steps SQLite's machine takes."""
    if connection.vendor == "postgresql":
        before = _rows_read()
        question()
        return _rows_read() - before
    return _steps(question)


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'jobqueue%'"
        )
        rows = int(cursor.fetchone()[0])
    return rows


def _steps(question: Callable[[], Any]) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(step, 1)
    try:
        question()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps


def messages_in(queue: str) -> int:
    """How many messages wait in Redis on this queue."""
    return int(client_for(queue).llen(PATTERNS["list"] + queue))


def charted() -> dict[Group, Tally]:
    """What the chart has in the period of now, by the database's clock."""
    period = int(database_now("default").timestamp() // PERIOD)
    found: dict[Group, Tally] = {}
    for groups in chart.read([period - 1, period]).values():
        for group, tally in groups.items():
            found.setdefault(group, Tally()).add(tally)
    return found
