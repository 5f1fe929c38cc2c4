"""The states of jobs in the words of the pages: also delayed, stuck and skipped, which are no states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now

from jobqueue.models import Job, JobQuerySet

# Waiting and delayed are told apart as the counts do it.
STATES: Final[dict[str, Callable[[JobQuerySet], JobQuerySet]]] = {
    "waiting": lambda jobs: jobs.waiting().filter(Q(published_at__isnull=False) | Q(run_at__lte=Now())),
    "delayed": lambda jobs: jobs.delayed().filter(published_at__isnull=True),
    "active": JobQuerySet.active,
    "stuck": JobQuerySet.stuck,
    "failed": JobQuerySet.failed,
    "completed": lambda jobs: jobs.filter(state=Job.State.COMPLETED),
    "skipped": JobQuerySet.skipped,
    "cancelled": lambda jobs: jobs.filter(state=Job.State.CANCELLED),
}
"""Each word with what narrows jobs to that state."""

ENDED: Final = ("failed", "completed", "skipped", "cancelled")
"""The states whose jobs are over: when they ended is what people ask of them."""
