"""Moves of jobs to another time as operators make them: who may, and what is written down of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from jobqueue.models import Job, alias_of, due_time
from jobqueue.moving import check_seen, move_as_seen, move_job
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.operating.rights import Right, demand
from jobqueue.operating.words import absolute
from jobqueue.sql.writing import writing


def move_and_log(
    job: Job, request: HttpRequest, moment: datetime, *, seen: datetime | None = None, reason: str = ""
) -> None:
    """Move the job, as `move_job` does, and write down who did it and why.

    Raises PermissionDenied for who may not move jobs.
    """
    demand(request, Right.MOVE)
    with writing(alias_of(job)):
        before = job.run_at if seen is None else seen
        move_job(job, moment, seen=seen)
        text = f"Move: {absolute(before)} → {absolute(job.run_at)}"
        log_change(request, job, because(text, reason))


def shift_and_log(
    job: Job, request: HttpRequest, moment: datetime, *, seen: datetime | None = None, reason: str
) -> None:
    """Move a job that waits, held or not, to a time ahead. Raises as `Job.move`.

    With `seen`, the time that it had when it was looked at, raises MovedMeanwhile if it has another by then.
    """
    using = alias_of(job)
    with writing(using):
        job.refresh_from_db(using=using)
        check_seen(job, seen)
        before = absolute(due_time(job))
        move_as_seen(job, moment, seen)
        log_change(request, job, because(f"Move: {before} → {absolute(moment)}", reason))
