"""How many jobs are in each state, by one statement: what the tabs above the lists of jobs say."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from jobqueue.conf import get_settings
from jobqueue.counts.reading import QueueCounts, counts_of_queues, read_amounts
from jobqueue.counts.signs import HELD_SINCE, IS_HELD, IS_STUCK, ago
from jobqueue.models import SKIPPED_PREFIX

KEPT = ("waiting", "delayed", "active", "failed")
"""The states whose numbers are kept by queue, or read from what runs: these are exact."""


@dataclass(frozen=True, slots=True)
class StateCounts:
    """What one statement found in one database."""

    by_queue: dict[str, QueueCounts]
    more: dict[str, int]
    """Held, stuck and cancelled jobs, counted no further than was asked; in a small table also
    `all`, `completed` (with what was skipped) and `skipped`."""

    def number(self, state: str, queue: str = "") -> int | None:
        """How many jobs are in that state, of one queue if it is named; None where that is not known."""
        if state in KEPT:
            chosen = [self.by_queue.get(queue, QueueCounts())] if queue else self.by_queue.values()
            return sum(counts.as_dict()[state] for counts in chosen)
        return None if queue else self.more.get(state)


def read_states(using: str, most: int) -> StateCounts:
    """The numbers of one database, at a cost that a million completed jobs do not raise.

    Held, stuck and cancelled ones are counted up to `most` + 1. No index has completed jobs alone: these are
    counted where the numbers of all jobs lie within `most` of each other.
    """
    rows = read_amounts(using, more=_more(connections[using].vendor, most))
    kept = [row for row in rows if row[1] not in _COUNTED]
    more = {kind: amount for _queue, kind, amount in rows if kind in _COUNTED and amount is not None}
    if "all" in more:
        more["skipped"] = more.get("skipped", 0)
        more["completed"] = more.get("completed", 0) + more["skipped"]
    return StateCounts(counts_of_queues(using, kept), more)


def _more(vendor: str, most: int) -> str:
    settings = get_settings()
    return _MORE.format(
        most=most + 1,
        held_until=HELD_SINCE[vendor],
        silent_since=ago(vendor, settings.worker_silence),
        overdue_since=ago(vendor, settings.timeout_grace),
    )


_COUNTED = ("held", "stuck", "cancelled", "all", "completed", "skipped")
# As numbers of any length: between the lowest and the highest id there may be more than an id can be.
_IS_SMALL = """(
    COALESCE((SELECT CAST(MAX(id) AS numeric) FROM jobqueue_job)
        - (SELECT CAST(MIN(id) AS numeric) FROM jobqueue_job), 0) < {most}
)"""
# The orders are those of the indexes that have such rows alone: PostgreSQL would read the table for many.
_MORE = f"""
    UNION ALL
    SELECT '', 'held', COUNT(*), 0 FROM (
        SELECT 1 FROM jobqueue_job WHERE {IS_HELD} ORDER BY run_at LIMIT {{most}}
    ) AS held
    UNION ALL
    SELECT '', 'stuck', COUNT(*), 0 FROM (
        SELECT 1 FROM jobqueue_job WHERE {IS_STUCK} ORDER BY worker_id LIMIT {{most}}
    ) AS stuck
    UNION ALL
    SELECT '', 'cancelled', COUNT(*), 0 FROM (
        SELECT 1 FROM jobqueue_job WHERE state = 'cancelled' ORDER BY finished_at DESC, id DESC LIMIT {{most}}
    ) AS cancelled
    UNION ALL
    SELECT '', 'all', CASE WHEN {_IS_SMALL} THEN (SELECT COUNT(*) FROM jobqueue_job) END, 0
    UNION ALL
    SELECT '', kind, COUNT(*), 0 FROM (
        SELECT CASE WHEN substr(reason, 1, {len(SKIPPED_PREFIX)}) = '{SKIPPED_PREFIX}'
            THEN 'skipped' ELSE 'completed' END AS kind
        FROM jobqueue_job WHERE state = 'completed' LIMIT CASE WHEN {_IS_SMALL} THEN {{most}} ELSE 0 END
    ) AS done GROUP BY kind
"""
