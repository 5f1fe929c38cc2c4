"""Another time for a delayed job, as people ask for it: ahead, and as the app that owns the job allows it."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from jobqueue.exceptions import JobTransitionRefused, MovedMeanwhile, NotDelayed
from jobqueue.jobs import check_run_at
from jobqueue.models import Job, alias_of, due_time
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing


def move_job(job: Job, moment: datetime, *, seen: datetime | None = None) -> None:
    """Let a delayed job run at `moment`, an aware datetime ahead; the instance is as its row afterwards.

    With `seen`, the time that it had when it was looked at, a time that somebody else gave it meanwhile
    stays. Raises InvalidRunAt for a moment without a zone and the year 9000 and later, PastRunAt for one
    that is past; NotDelayed; MovedMeanwhile; JobMoveRefused, which says what is allowed, where the app that
    owns it does not allow that time.
    """
    using, moment = alias_of(job), check_run_at(moment)
    with writing(using):
        job.refresh_from_db(using=using)
        if why := why_not(job, database_now(using)):
            raise NotDelayed(why)
        check_seen(job, seen)
        move_as_seen(job, moment, seen)


def move_as_seen(job: Job, moment: datetime, seen: datetime | None) -> None:
    """Move it if it still has the time that somebody saw; of two at once one does, the other is refused."""
    try:
        job.move(moment, seen=seen)
    except JobTransitionRefused:
        check_seen(job, seen)  # as its row is now
        raise


def check_seen(job: Job, seen: datetime | None) -> None:
    """Raise MovedMeanwhile if the job, as it was read, has another time than somebody saw."""
    moment = due_time(job)
    if seen is not None and moment != seen:
        text = _("job %(number)s was moved meanwhile, to %(moment)s; look at it, and ask again")
        raise MovedMeanwhile(text % {"number": job.pk, "moment": moment.isoformat()})


def why_not(job: Job, now: datetime) -> str:
    """Why this job, as it was read, cannot be moved; empty if it can."""
    words = {"number": job.pk, "state": job.get_state_display()}
    if job.state != Job.State.WAITING:
        return _("job %(number)s is %(state)s and cannot be moved; that takes a delayed job") % words
    if job.held_run_at is not None:
        return _("job %(number)s is held and cannot be moved to another time; release it first") % words
    if job.run_at > now:
        return ""
    return _("job %(number)s is due already and cannot be moved to another time") % words
