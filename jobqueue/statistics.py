"""How many jobs are where, for health, metrics and the admin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Count, Q
from django.db.models.functions import Now

from jobqueue import counting, queues
from jobqueue.models import Job
from jobqueue.outbox import databases


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


def queue_counts() -> dict[str, QueueCounts]:
    """The counts of every configured queue, over all databases served. One query by database."""
    counts = {queue: QueueCounts() for queue in django_settings.RQ_QUEUES}
    for alias in databases():
        for row in _rows(alias):
            entry = counts.setdefault(row["queue"], QueueCounts())
            entry.waiting += row["waiting"]
            entry.active += row["active"]
            entry.failed += row["failed"]
            entry.delayed += row["delayed"]
    return counts


def _rows(alias: str) -> Iterable[Mapping[str, Any]]:
    waiting = Q(state=Job.State.WAITING)
    open_jobs = Job.objects.using(alias).filter(
        state__in=[Job.State.WAITING, Job.State.ACTIVE, Job.State.FAILED]
    )
    rows: Iterable[Mapping[str, Any]] = (
        open_jobs.order_by()
        .values("queue")
        .annotate(
            waiting=Count("pk", filter=waiting & Q(run_at__lte=Now())),
            delayed=Count("pk", filter=waiting & Q(run_at__gt=Now())),
            active=Count("pk", filter=Q(state=Job.State.ACTIVE)),
            failed=Count("pk", filter=Q(state=Job.State.FAILED)),
        )
    )
    return rows


def completed_counts(purpose: str = "work") -> dict[str, int]:
    """Jobs completed by queue since counting began, skipped ones included."""
    completed: dict[str, int] = defaultdict(int)
    for text, value in queues.counters(purpose).items():
        match counting.labels_of(text):
            case (counting.JOBS, queue, "completed" | "skipped"):
                completed[queue] += int(value)
    return completed
