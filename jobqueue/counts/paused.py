"""How many jobs wait for the queues that are paused, brought along by the statement that reads the queues."""

from __future__ import annotations

from django.db import connections

from jobqueue.counts.reading import MOST_DUE, NOW, counts_of_database
from jobqueue.models import JobTally, Queue


def waiting_where_paused(using: str) -> dict[str, str]:
    """What `waiting_for` takes from a queue, as columns of a statement on `jobqueue_queue`; or NULL."""
    due = f"""SELECT COUNT(*) FROM (
        SELECT id FROM jobqueue_job WHERE state = 'waiting' AND published_at IS NULL
        AND run_at <= {NOW[connections[using].vendor]} AND queue = jobqueue_queue.name
        ORDER BY run_at LIMIT {MOST_DUE + 1}
    ) AS due"""
    parts = {
        "published": _summed(JobTally.Kind.PUBLISHED),
        "unpublished": _summed(JobTally.Kind.UNPUBLISHED),
        "due": due,
    }
    return {name: f"CASE WHEN jobqueue_queue.paused THEN ({sql}) END" for name, sql in parts.items()}


def _summed(kind: str) -> str:
    summed = "SELECT COALESCE(SUM(amount), 0) FROM jobqueue_jobtally"
    return f"{summed} WHERE kind = '{kind}' AND queue = jobqueue_queue.name"


def waiting_for(queue: Queue, using: str) -> int:
    """How many jobs wait for a paused queue: with a statement more only where very many are due."""
    found = vars(queue)
    if found.get("due") is None or found["due"] > MOST_DUE:
        counts = counts_of_database(using).get(queue.name)
        return counts.waiting if counts else 0
    return int(found["published"]) + min(int(found["due"]), int(found["unpublished"]))
