"""How much of a queue each processor takes up now."""

from __future__ import annotations

from django.db.models import Count

from jobqueue.models import Job
from jobqueue.sql.tolerant import AsText, as_text

MOST_PROCESSORS = 100
"""That are named of all queues together; those that run most."""


def running_by_processor() -> dict[str, list[tuple[str, int]]]:
    """By queue the processors whose jobs run now, each with how many, the most first: one statement."""
    rows = (
        Job.objects.active()
        .order_by()
        .values_list(AsText("queue"), AsText("processor"))
        .annotate(number=Count("id"))
        .order_by("-number")
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for queue, processor, number in rows[:MOST_PROCESSORS]:
        found.setdefault(as_text(queue), []).append((as_text(processor), number))
    return found
