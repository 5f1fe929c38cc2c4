"""A bulk action that runs jobs now, or retries them: of what an app guards, it is asked one by one.

Each of those is changed in a transaction of its own, as by moves; all others of the batch at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence

from jobqueue.models import bulk, guards
from jobqueue.models.bulk import Batch, BulkAction, Step
from jobqueue.models.bulk_moves import NotOurs, one_by_one
from jobqueue.models.bulk_verbs import BulkVerb
from jobqueue.models.job import Job

VERBS: Mapping[str, Callable[[Job], None]] = {BulkVerb.RUN_NOW: Job.run_now, BulkVerb.RETRY: Job.retry}
"""What may bring a job forward, and what it does to one."""


def change(action: BulkAction, ids: Sequence[int], holder: uuid.UUID, using: str) -> Step:
    """Change those of these jobs that are still meant, and note how far that was."""
    known = set(action.waiting_for)
    asked = [number for number in ids if number > action.position or number in known]
    meant = guards.guarded(action.meant(using).filter(pk__in=asked))
    guarded = list(meant.order_by("run_at", "pk").values_list("pk", flat=True))
    done = Batch()
    try:
        for number in guarded:
            one_by_one(action, number, VERBS[action.verb], done, holder, using)
    except NotOurs:
        return Step(done.changed, is_ours=False)
    step = bulk.change(action, ids, holder, using, done=done if guarded else None)
    return Step(done.changed + step.changed, step.is_ours)
