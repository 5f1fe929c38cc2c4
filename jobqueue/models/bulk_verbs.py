"""What a bulk action can do: which jobs each verb takes when their turn comes, and what it does to a batch.

What is done to stuck jobs tells of more than rows: `jobqueue.delivery.rescue`. Moves ask the app that owns a
job: `jobqueue.models.bulk_moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models import holding
from jobqueue.models.held import IS_HELD
from jobqueue.models.job import Job, jobs_in
from jobqueue.models.querysets import JobQuerySet

if TYPE_CHECKING:
    from jobqueue.models.bulk import BulkAction

Apply: TypeAlias = "Callable[[JobQuerySet, BulkAction], int]"


class BulkVerb(models.TextChoices):
    """What can be done to very many jobs."""

    RETRY = "retry", _("retry")
    DELETE = "delete", _("discard")
    CANCEL = "cancel", _("cancel")
    MOVE = "move", _("move")
    HOLD = "hold", _("hold")
    # Not "release": so is called what puts stuck jobs back on the road.
    LET_GO = "let_go", _("release")
    RUN_NOW = "run_now", _("run now")
    RELEASE = "release", _("put back on the road")
    FAIL = "fail", _("fail")


ONE_BY_ONE = (BulkVerb.MOVE,)
"""Verbs that ask the app that owns a job, of each."""


TAKES: Mapping[str, Callable[[JobQuerySet], JobQuerySet]] = {
    BulkVerb.RETRY: lambda jobs: jobs.filter(state__in=[Job.State.FAILED, Job.State.CANCELLED]),
    BulkVerb.DELETE: lambda jobs: jobs.exclude(state=Job.State.ACTIVE).filter(set_aside=""),
    BulkVerb.CANCEL: JobQuerySet.waiting,
    BulkVerb.HOLD: lambda jobs: jobs.waiting().exclude(IS_HELD),
    BulkVerb.LET_GO: lambda jobs: jobs.waiting().filter(IS_HELD),
    BulkVerb.RUN_NOW: lambda jobs: jobs.delayed().exclude(IS_HELD),
    BulkVerb.RELEASE: JobQuerySet.stuck,
    BulkVerb.FAIL: JobQuerySet.stuck,
}
"""Those of the jobs that a verb takes as they are now, of one job or of many."""
_OF_ONE_RUN = (BulkVerb.RUN_NOW, BulkVerb.RELEASE, BulkVerb.FAIL)


def taken(verb: str, jobs: JobQuerySet, asked_at: datetime) -> JobQuerySet:
    """Those of the jobs that the verb takes: what a list showed may be in any state when its turn comes.

    What has begun since is another run, or waits for another reason, than the one that was seen.
    """
    found = TAKES[verb](jobs)
    if verb not in _OF_ONE_RUN:
        return found
    return found.filter(models.Q(started_at__isnull=True) | models.Q(started_at__lte=asked_at))


def noted(verb: Callable[[JobQuerySet], int], changed: models.Q) -> Apply:
    """The verb, after which the jobs that it `changed` point to the action."""

    def act(jobs: JobQuerySet, action: BulkAction) -> int:
        ids = list(jobs.values_list("pk", flat=True))
        number = verb(jobs)
        jobs_in(jobs.db).filter(changed, pk__in=ids).update(bulk_action=action.pk)
        return number

    return act


def _cancel(jobs: JobQuerySet, action: BulkAction) -> int:
    reason = said("cancelled", action)
    cancel = noted(lambda some: some.cancel_all(reason), models.Q(state=Job.State.CANCELLED))
    return cancel(jobs, action)


def said(done: str, action: BulkAction) -> str:
    """What a changed row says of itself: "held by pia: the text is wrong"."""
    return holding.reason_of(action.asked_by, action.reason, done)


APPLY: Mapping[str, Apply] = {
    BulkVerb.RETRY: lambda jobs, action: jobs.retry_all(bulk_action=action.pk),
    BulkVerb.DELETE: lambda jobs, action: jobs.filter(set_aside="").delete_all(said("deleted", action)),
    BulkVerb.CANCEL: _cancel,
    BulkVerb.HOLD: lambda jobs, action: holding.hold_all(jobs, said("held", action), action.pk),
    BulkVerb.LET_GO: lambda jobs, action: holding.release_all(jobs, action.pk),
    BulkVerb.RUN_NOW: noted(JobQuerySet.run_all_now, models.Q(state=Job.State.WAITING)),
}
"""What the verbs do that change rows alone: how many of these jobs."""
