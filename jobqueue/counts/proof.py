"""Proves the counts of open jobs against the rows, and corrects what is off."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from jobqueue.counts import triggers
from jobqueue.counts.triggers import APPEND, has_triggers, is_open, kind_of
from jobqueue.models import JobTally
from jobqueue.registry import reconciler
from jobqueue.sql.databases import can_serve, in_each_database
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)
_TABLES = {"jobqueue_job", "jobqueue_jobtally"}


@dataclass(frozen=True, slots=True)
class Correction:
    """How far a count was off: `amount` jobs were missing in it."""

    queue: str
    kind: str
    amount: int


def mend(using: str) -> list[Correction]:
    """Create triggers that are missing or disabled, count the rows, and correct what is off.

    Nobody waits for that, unless triggers have to be created. A snapshot of the database holds a change and
    its counts, or neither; so what differs in one is wrong, whatever goes on meanwhile.
    """
    if has_triggers(using):
        return _correct(using) if _differences(using) else []
    logger.warning("creating the triggers that count the jobs of database %r: some were missing", using)
    return start(using)


def start(using: str) -> list[Correction]:
    """Create the triggers, or make them anew, and count the rows that are there."""
    with writing(using):
        triggers.install(using)
        return _correct(using)


def after_migrate(using: str, plan: Sequence[Any] = (), **_kwargs: Any) -> None:
    """Create triggers that a migration lost: on SQLite, Django writes a table anew to change a column."""
    if not plan or not can_serve(using):
        return
    tables = connections[using].introspection.table_names()
    if _TABLES.issubset(tables) and not has_triggers(using):
        start(using)


def before_save(instance: JobTally, raw: bool, **_kwargs: Any) -> None:
    """A count in a fixture is worth nothing: the fixture's jobs are counted when they are loaded."""
    if raw:
        instance.pk, instance.amount = None, 0


def _differences(using: str) -> list[Correction]:
    with connections[using].cursor() as cursor:
        cursor.execute(_DIFFERENCES)
        return [Correction(*row) for row in cursor.fetchall()]


def _correct(using: str) -> list[Correction]:
    with writing(using), connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            # Two who correct at once would correct twice. Conflicts with no other use of the table.
            cursor.execute("LOCK TABLE jobqueue_jobtally IN SHARE UPDATE EXCLUSIVE MODE")
        cursor.execute(f"{APPEND} {_DIFFERENCES} RETURNING queue, kind, amount")
        return [Correction(*row) for row in cursor.fetchall()]


_DIFFERENCES = f"""
    SELECT queue, kind, CAST(SUM(amount) AS integer) AS amount
    FROM (
        SELECT job.queue, {kind_of("job")} AS kind, COUNT(*) AS amount
        FROM jobqueue_job AS job WHERE {is_open("job")} GROUP BY 1, 2
        UNION ALL
        SELECT queue, kind, -SUM(amount) FROM jobqueue_jobtally GROUP BY 1, 2
    ) AS counted
    GROUP BY queue, kind HAVING SUM(amount) <> 0
"""


@reconciler("jobqueue")
def check_counts(*, full: bool) -> dict[str, int]:
    """Thoroughly: count the rows and correct what is off, as after somebody disabled the triggers."""
    if not full:
        return {"counts corrected": 0}
    corrections: list[Correction] = []
    try:
        in_each_database(lambda using: corrections.extend(mend(using)))
    finally:
        for correction in corrections:
            logger.warning("a count was off by %d: %s", -correction.amount, correction)
    return {"counts corrected": len(corrections)}
