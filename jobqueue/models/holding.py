"""Jobs that are held: they keep their key and their time, and do not run until they are released.

Released, a job runs at the time that it had, or at once where that is past. To run it now releases it; to
move it moves the time that it had. What an app plans anew is not held.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext as _

from jobqueue.exceptions import AlreadyHeld, NotHeld, NotWaiting
from jobqueue.models.held import HELD_UNTIL, IS_HELD
from jobqueue.models.job import Job, jobs_in
from jobqueue.models.querysets import JobQuerySet
from jobqueue.models.transitions import LONGEST_REASON, State
from jobqueue.sql.writing import writing

CAN_BE_HELD = (State.WAITING,)


def held(jobs: JobQuerySet) -> JobQuerySet:
    """Those of the jobs that are held: few rows at the end of the relay's own index."""
    return jobs.filter(IS_HELD, state=State.WAITING, published_at__isnull=True, run_at__gte=HELD_UNTIL)


def held_between(first: datetime, end: datetime, using: str) -> JobQuerySet:
    """The held jobs that were to run from `first` on and before `end`, by that time."""
    rows = held(jobs_in(using).all()).filter(held_run_at__gte=first, held_run_at__lt=end)
    return rows.order_by("held_run_at", "pk")


def due_time(job: Job) -> datetime:
    """When the job runs; of a held one when it was to run."""
    is_held = job.state == State.WAITING and job.held_run_at is not None
    return job.held_run_at if is_held and job.held_run_at is not None else job.run_at


def hold_all(jobs: JobQuerySet, reason: str, bulk_action: int | None = None) -> int:
    """Hold those of these jobs that wait and are not held; how many. `reason` says who did it and why."""
    return jobs.filter(~IS_HELD, state__in=CAN_BE_HELD).update(
        held_run_at=F("run_at"),
        run_at=HELD_UNTIL,
        published_at=None,
        # Workers that may know its processor make due what others handed on.
        unfit_since=None,
        reason=reason[:LONGEST_REASON],
        **_by(bulk_action),
    )


def release_all(jobs: JobQuerySet, bulk_action: int | None = None) -> int:
    """Release those of these jobs that are held; how many."""
    return jobs.filter(IS_HELD, state=State.WAITING).update(
        run_at=Greatest(F("held_run_at"), Now()),
        held_run_at=None,
        published_at=None,
        reason="",
        **_by(bulk_action),
    )


def _by(bulk_action: int | None) -> dict[str, Any]:
    return {} if bulk_action is None else {"bulk_action": bulk_action}


def reason_of(who: str, why: str, done: str = "held") -> str:
    """What a held job says of itself: "held by pia: the text is wrong", without a reason "held by pia"."""
    return (f"{done} by {who}: {why}" if why else f"{done} by {who}")[:LONGEST_REASON]


def hold(job: Job, who: str, why: str, using: str) -> None:
    """Hold one job. Raises NotWaiting, or AlreadyHeld, which says by whom and why."""
    _take(job, hold_all(jobs_in(using).filter(pk=job.pk), reason_of(who, why)), "held", using)


def release(job: Job, using: str) -> None:
    """Release one job. Raises NotWaiting or NotHeld."""
    _take(job, release_all(jobs_in(using).filter(pk=job.pk)), "released", using)


def _take(job: Job, changed: int, name: str, using: str) -> None:
    with writing(using):
        job.refresh_from_db(using=using)
    if changed:
        return
    if job.state != State.WAITING:
        text = (
            _("job %(number)s is %(state)s and cannot be held; that takes a job that waits")
            if name == "held"
            else _("job %(number)s is %(state)s and cannot be released; that takes a held job")
        )
        raise NotWaiting(text % {"number": job.pk, "state": job.get_state_display()})
    if name == "held":
        text = _("job %(number)s is held already (%(reason)s)")
        raise AlreadyHeld(text % {"number": job.pk, "reason": job.reason})
    raise NotHeld(_("job %(number)s is not held") % {"number": job.pk})
