"""Moves of jobs to another time as operators make them: who may, and what is written down of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest
from django.utils.translation import gettext as _

from jobqueue.exceptions import AlreadyAtThatTime
from jobqueue.models import Job, alias_of, due_time
from jobqueue.moving import check_seen, move_as_seen, move_job, why_not
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.operating.rights import Right, demand
from jobqueue.operating.words import absolute
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing


def move_and_log(
    job: Job, request: HttpRequest, moment: datetime, *, seen: datetime | None = None, reason: str = ""
) -> None:
    """Move the job, as `move_job` does, and write down who did it and why.

    Raises PermissionDenied for who may not move jobs, and AlreadyAtThatTime.
    """
    demand(request, Right.MOVE)
    using = alias_of(job)
    with writing(using):
        job.refresh_from_db(using=using)
        if not why_not(job, database_now(using)):
            check_seen(job, seen)
            _check_elsewhere(job, moment)
        before = job.run_at if seen is None else seen
        move_job(job, moment, seen=seen)
        text = f"Move: {absolute(before)} → {absolute(job.run_at)}"
        log_change(request, job, because(text, reason))


def shift_and_log(
    job: Job, request: HttpRequest, moment: datetime, *, seen: datetime | None = None, reason: str
) -> None:
    """Move a job that waits, held or not, to a time ahead. Raises as `Job.move`, and AlreadyAtThatTime.

    With `seen`, the time that it had when it was looked at, raises MovedMeanwhile if it has another by then.
    """
    using = alias_of(job)
    with writing(using):
        job.refresh_from_db(using=using)
        check_seen(job, seen)
        if job.state == Job.State.WAITING:
            _check_elsewhere(job, moment)
        before = absolute(due_time(job))
        move_as_seen(job, moment, seen)
        log_change(request, job, because(f"Move: {before} → {absolute(moment)}", reason))


def _check_elsewhere(job: Job, moment: datetime) -> None:
    """Raise AlreadyAtThatTime if the job has that time, also without the parts of a second of its own.

    Those no field of a page has: what is written down would lead from a time to the same.
    """
    when = due_time(job)
    if moment in (when, when.replace(microsecond=0)):
        text = _("job %(number)s has that time already, %(moment)s: nothing was changed")
        raise AlreadyAtThatTime(text % {"number": job.pk, "moment": when.isoformat()})
