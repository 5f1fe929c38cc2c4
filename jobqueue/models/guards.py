"""Jobs that do not run before their time unasked: a move leads ahead, and the app that owns them may say no.

"Run now", and a retry of what was cancelled before its time, bring a job forward: that is a move to this
moment, and asks the listeners to `job_moving`, of each job by itself. What nobody guards is taken in batches.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from jobqueue import signals
from jobqueue.exceptions import PastRunAt
from jobqueue.sql.clock import database_now

if TYPE_CHECKING:
    from jobqueue.models.job import Job
    from jobqueue.models.querysets import JobQuerySet

NOT_AHEAD = gettext_noop("run_at %(moment)s is past: a job moves to a time ahead; “Run now” makes it due")


def check_ahead(moment: datetime, using: str) -> None:
    """Raise PastRunAt if a job that moved to that time would be due: to run it now is a verb of its own."""
    if not is_ahead(moment, using):
        raise PastRunAt(gettext(NOT_AHEAD) % {"moment": moment.isoformat()})


def is_ahead(moment: datetime, using: str) -> bool:
    """Whether that time lies ahead by the database's clock; without a zone it is one of the site's."""
    aware = (
        timezone.make_aware(moment, timezone.get_default_timezone()) if timezone.is_naive(moment) else moment
    )
    return aware > database_now(using)


def guarded(jobs: JobQuerySet) -> JobQuerySet:
    """Those of the jobs whose time lies ahead and of which a listener is to be asked."""
    processors = _processors(jobs.model)
    if processors is None:
        return jobs.filter(run_at__gt=Now())
    return jobs.filter(run_at__gt=Now(), processor__in=processors) if processors else jobs.none()


def unguarded(jobs: JobQuerySet) -> JobQuerySet:
    """All others."""
    processors = _processors(jobs.model)
    if processors is None:
        return jobs.exclude(run_at__gt=Now())
    return jobs.exclude(run_at__gt=Now(), processor__in=processors) if processors else jobs


def ask(job: Job, using: str, moment: datetime | None = None) -> None:
    """Ask whether the job, or a copy of it, may run at that moment, or now, if its own time lies ahead.

    Raises JobMoveRefused.

    To be called in the transaction that brings it forward, before its row is locked.
    """
    processors = _processors(type(job))
    if processors is not None and job.processor not in processors:
        return
    rows: JobQuerySet = type(job)._default_manager.using(using).filter(pk=job.pk)
    if guarded(rows).exists():
        at_once, moment = moment is None, moment or database_now(using)
        sender = job._meta.concrete_model
        signals.job_moving.send(sender, job=job, moment=moment, using=using, at_once=at_once)


def _processors(model: type[models.Model]) -> frozenset[str] | None:
    """Whose jobs the listeners are about; None if one of them may be about any."""
    return signals.processors_of_moves(model._meta.concrete_model)
