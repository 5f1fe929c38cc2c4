"""How many jobs are where, for health, metrics and the admin."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings as django_settings
from django.db import DatabaseError, connections

from jobqueue.counts import triggers
from jobqueue.models import JobTally
from jobqueue.sql.databases import databases
from jobqueue.sql.tolerant import as_text
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)
# Up to so many jobs that are due and not published are counted one by one, each time.
MOST_DUE = 10_000
# Workers fold the rows of counts; a reader does it only where none runs.
MOST_ROWS = 20_000
_NO_LIMIT = 2**62
AmountRow = tuple[str, str, int]
"""A queue, what was counted of it, and how many."""
# Counting more than MOST_DUE takes at most a twentieth of the time.
_SHORTEST_MEMORY = 5.0
_MEMORY_FACTOR = 20


@dataclass
class QueueCounts:
    """The jobs of one queue that are not done."""

    waiting: int = 0
    active: int = 0
    failed: int = 0
    delayed: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "waiting": self.waiting,
            "active": self.active,
            "failed": self.failed,
            "delayed": self.delayed,
        }

    def add(self, other: QueueCounts) -> None:
        """Add the jobs of the same queue in another database."""
        self.waiting += other.waiting
        self.active += other.active
        self.failed += other.failed
        self.delayed += other.delayed


def queue_counts() -> dict[str, QueueCounts]:
    """The counts of every configured queue, over all databases served. One query by database."""
    counts = {queue: QueueCounts() for queue in django_settings.RQ_QUEUES}
    for using in databases():
        for queue, entry in counts_of_database(using).items():
            counts.setdefault(queue, QueueCounts()).add(entry)
    return counts


def counts_of_database(using: str) -> dict[str, QueueCounts]:
    """The counts of the queues that have jobs in one database. A published job counts as waiting."""
    return counts_of_queues(using, read_amounts(using))


def counts_of_queues(using: str, rows: Iterable[AmountRow]) -> dict[str, QueueCounts]:
    """The counts of each queue by what the statement found."""
    found = _by_queue(rows)
    due = {queue: amounts.due for queue, amounts in found.items()}
    if sum(due.values()) > MOST_DUE:
        due = _due_of_many(using)
    return {queue: _counts(amounts, due.get(queue, 0)) for queue, amounts in found.items()}


@dataclass
class _Amounts:
    """What one query found in one queue."""

    published: int = 0
    unpublished: int = 0
    failed: int = 0
    active: int = 0
    due: int = 0


def _counts(amounts: _Amounts, due: int) -> QueueCounts:
    due = min(due, amounts.unpublished)
    return QueueCounts(
        waiting=amounts.published + due,
        active=amounts.active,
        failed=amounts.failed,
        delayed=amounts.unpublished - due,
    )


def read_amounts(using: str, most_due: int = MOST_DUE + 1, more: str = "") -> list[AmountRow]:
    """The rows of counts, the active jobs and, up to `most_due`, the due ones not published, by queue.

    `more` is a part of the statement that counts something else, of the same columns.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        vendor = connection.vendor
        cursor.execute(_READ.format(now=NOW[vendor], queue=_QUEUE[vendor]) + more, [most_due])
        rows = cursor.fetchall()
    if sum(summed for _queue, _kind, _amount, summed in rows) > MOST_ROWS:
        _compact(using)
    # What is no text stands for itself: a queue that nobody serves.
    return [(as_text(queue), kind, amount) for queue, kind, amount, _summed in rows]


def _by_queue(rows: Iterable[AmountRow]) -> dict[str, _Amounts]:
    found: dict[str, _Amounts] = defaultdict(_Amounts)
    for queue, kind, amount in rows:
        setattr(found[queue], kind, amount)
    return found


NOW = {"postgresql": "STATEMENT_TIMESTAMP()", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"}
# SQLite keeps any bytes as a text, and cannot give back those that are none.
_QUEUE = {"postgresql": "queue", "sqlite": "CAST(queue AS BLOB)"}
# One statement, so that each job is seen in exactly one place. The order keeps PostgreSQL, which takes the
# due jobs for many, from reading all rows instead of the index that has only these.
_READ = f"""
    SELECT {{queue}}, kind, CAST(SUM(amount) AS bigint), COUNT(*) FROM jobqueue_jobtally
    WHERE kind IN ('{JobTally.Kind.PUBLISHED}', '{JobTally.Kind.UNPUBLISHED}', '{JobTally.Kind.FAILED}')
    GROUP BY queue, kind
    UNION ALL
    SELECT {{queue}}, 'active', COUNT(*), 0 FROM jobqueue_job WHERE state = 'active' GROUP BY queue
    UNION ALL
    SELECT {{queue}}, 'due', COUNT(*), 0
    FROM (
        SELECT queue FROM jobqueue_job
        WHERE state = 'waiting' AND published_at IS NULL AND run_at <= {{now}} ORDER BY run_at LIMIT %s
    ) AS due
    GROUP BY queue
"""


@dataclass(frozen=True, slots=True)
class _Remembered:
    due: dict[str, int]
    until: float


_remembered: dict[str, _Remembered] = {}


def _due_of_many(using: str) -> dict[str, int]:
    """All that are due and not published: many only while Redis is away and shortly after."""
    remembered = _remembered.get(using)
    if remembered is None or time.monotonic() >= remembered.until:
        started = time.monotonic()
        due = {queue: amounts.due for queue, amounts in _by_queue(read_amounts(using, _NO_LIMIT)).items()}
        ended = time.monotonic()
        remembered = _Remembered(due, ended + max(_SHORTEST_MEMORY, _MEMORY_FACTOR * (ended - started)))
        _remembered[using] = remembered
    return remembered.due


def _compact(using: str) -> None:
    try:
        with writing(using):
            triggers.compact(using)
    except DatabaseError as error:
        logger.warning("cannot compact the counts of jobs: %s: %s", type(error).__name__, error)
