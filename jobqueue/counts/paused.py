"""How many jobs wait for the queues that are paused, brought along by the statement that reads the queues."""

from __future__ import annotations

from django.db import connections

from jobqueue.counts.reading import MOST_DUE, NOW, counts_of_database
from jobqueue.models import JobTally, Queue


def waiting_where_paused(using: str) -> dict[str, str]:
    """What `waiting_for` takes from a queue, as columns of a statement on `jobqueue_queue`; or NULL."""
    # Of all queues first, as an index has them: those of others, passed over, could be hundreds of thousands.
    due = f"""FROM (
        SELECT queue FROM jobqueue_job WHERE state = 'waiting' AND published_at IS NULL
        AND run_at <= {NOW[connections[using].vendor]} ORDER BY run_at LIMIT {MOST_DUE + 1}
    ) AS due"""
    parts = {
        "published": _summed(JobTally.Kind.PUBLISHED),
        "unpublished": _summed(JobTally.Kind.UNPUBLISHED),
        "due": f"SELECT COUNT(*) {due} WHERE due.queue = jobqueue_queue.name",
        "due_of_all": f"SELECT COUNT(*) {due}",
    }
    return {name: f"CASE WHEN jobqueue_queue.paused THEN ({sql}) END" for name, sql in parts.items()}


def _summed(kind: str) -> str:
    summed = "SELECT COALESCE(SUM(amount), 0) FROM jobqueue_jobtally"
    return f"{summed} WHERE kind = '{kind}' AND queue = jobqueue_queue.name"


def waiting_for(queue: Queue, using: str) -> int:
    """How many jobs wait for a paused queue: with a statement more only where very many are due."""
    found = vars(queue)
    if found.get("due_of_all") is None or found["due_of_all"] > MOST_DUE:
        counts = counts_of_database(using).get(queue.name)
        return counts.waiting if counts else 0
    return int(found["published"]) + min(int(found["due"]), int(found["unpublished"]))
