"""Jobs that do not run before their time unasked: the app that owns them may say no, as to a move.

"Run now", and a retry of what was cancelled before its time, bring a job forward: that is a move to this
moment, and asks the listeners to `job_moving`, of each job by itself. What nobody guards is taken in batches.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Now

from jobqueue import signals
from jobqueue.sql.clock import database_now

if TYPE_CHECKING:
    from jobqueue.models.job import Job
    from jobqueue.models.querysets import JobQuerySet


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
