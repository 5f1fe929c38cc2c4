"""What the counts are compared with: the rows themselves, counted at a cost that grows with them."""

from __future__ import annotations

from django.db.models import Count, Q
from django.db.models.functions import Now

from jobqueue.counts.reading import QueueCounts
from jobqueue.models import Job


def counts_of_rows(alias: str) -> dict[str, QueueCounts]:
    """The counts of the open jobs in one database, made from its rows."""
    waiting = Q(state=Job.State.WAITING)
    rows = (
        Job.objects.using(alias)
        .filter(state__in=[Job.State.WAITING, Job.State.ACTIVE, Job.State.FAILED])
        .order_by()
        .values("queue")
        .annotate(
            waiting=Count("pk", filter=waiting & Q(run_at__lte=Now())),
            delayed=Count("pk", filter=waiting & Q(run_at__gt=Now())),
            active=Count("pk", filter=Q(state=Job.State.ACTIVE)),
            failed=Count("pk", filter=Q(state=Job.State.FAILED)),
        )
    )
    return {
        row["queue"]: QueueCounts(
            waiting=row["waiting"], active=row["active"], failed=row["failed"], delayed=row["delayed"]
        )
        for row in rows
    }
