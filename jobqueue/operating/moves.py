"""A waiting job that an operator moves to another time, with what is written down of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from jobqueue.exceptions import NotDelayed, PastRunAt
from jobqueue.jobs import check_run_at
from jobqueue.models import Job
from jobqueue.operating.audit import log_change
from jobqueue.operating.words import absolute, state_word
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing

LONGEST_MOVE_REASON = 500


def move_and_log(request: HttpRequest, job: Job, moment: datetime, reason: str = "") -> None:
    """Move the job in the name of this user, with an entry in the audit; a time that is past means now.

    Raises JobTransitionRefused if it does not wait, or if the app that owns it does not allow that time.
    """
    before = absolute(job.run_at)
    with writing(Job.objects.db):
        job.move(moment)
        why = f". Reason: {reason.strip()}" if reason.strip() else ""
        log_change(request, job, f"Move: {before} → {absolute(moment)}{why}")


def move_ahead_and_log(request: HttpRequest, job: Job, moment: datetime, reason: str = "") -> None:
    """Move a delayed job to a time ahead of now. Raises as `move_and_log`, and NotDelayed.

    InvalidRunAt is a time without a zone or beyond what databases carry; PastRunAt one that is not ahead.
    """
    checked, now = check_run_at(moment), database_now(Job.objects.db)
    word = state_word(job, now)
    if word != "delayed":
        raise NotDelayed(f"job {job.pk} is {word} and cannot be moved; that takes a delayed job")
    if checked <= now:
        raise PastRunAt(f"{absolute(checked)} is no time ahead: now it is {absolute(now)}")
    move_and_log(request, job, checked, reason)
