"""The states of jobs in the words of the pages: also delayed, stuck, skipped and retried, which are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now

from jobqueue.models import SKIPPED_PREFIX, Job, JobQuerySet
from jobqueue.models.held import HELD_UNTIL, IS_HELD
from jobqueue.searching.retried import HAS_RETRIES, RETRIED, was_retried

_SKIPPED = Q(state=Job.State.COMPLETED, reason__startswith=SKIPPED_PREFIX)
# Waiting and delayed are told apart as the counts do it.
CONDITIONS: Final[dict[str, Q]] = {
    "waiting": Q(state=Job.State.WAITING) & (Q(published_at__isnull=False) | Q(run_at__lte=Now())),
    "delayed": Q(state=Job.State.WAITING, run_at__gt=Now(), published_at__isnull=True),
    "held": Q(state=Job.State.WAITING, published_at__isnull=True, run_at__gte=HELD_UNTIL) & IS_HELD,
    "active": Q(state=Job.State.ACTIVE),
    "failed": Q(state=Job.State.FAILED),
    "completed": Q(state=Job.State.COMPLETED),
    "skipped": _SKIPPED,
    "cancelled": Q(state=Job.State.CANCELLED),
    RETRIED: HAS_RETRIES,
}
"""What each word asks of a row; whether a job is stuck its worker tells."""


def _narrowing(word: str) -> Callable[[JobQuerySet], JobQuerySet]:
    if word == RETRIED:
        return lambda jobs: jobs.filter(was_retried())
    return lambda jobs: jobs.filter(CONDITIONS[word])


_WORDS: Final = (
    "waiting",
    "delayed",
    "held",
    "active",
    "stuck",
    "failed",
    "completed",
    "skipped",
    "cancelled",
    RETRIED,
)
STATES: Final[dict[str, Callable[[JobQuerySet], JobQuerySet]]] = {
    word: JobQuerySet.stuck if word == "stuck" else _narrowing(word) for word in _WORDS
}
"""Each word with what narrows jobs to that state."""

OF_ANY_STATE: Final = (RETRIED,)
"""What happened to jobs, whatever their state is by now."""

PART_OF: Final = {"held": "delayed", "stuck": "active", "skipped": "completed"}
"""The states whose jobs a list of another state shows too."""

ENDED: Final = ("failed", "completed", "skipped", "cancelled")
"""The states whose jobs are over: when they ended is what people ask of them."""
