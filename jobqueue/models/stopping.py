"""The stop of a running job: who may ask for it when, and how it ends.

It is asked for through the row; the executor that runs the job looks there and raises JobStopped in it
(`jobqueue.worker.orders`). Until the job has ended it is active, and it may still complete. Whatever else
ends its claim then, its worker, a rescue or a hand-back, ends it as cancelled: it does not run again.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobqueue import signals
from jobqueue.conf import get_settings
from jobqueue.exceptions import (
    AlreadyStopping,
    JobTransitionRefused,
    NotRunning,
    WorkerGone,
    WorkerTooOld,
)
from jobqueue.models import transitions
from jobqueue.models.job import Job, jobs_in
from jobqueue.models.querysets import JobQuerySet
from jobqueue.models.worker import Worker
from jobqueue.sql.texts import clean
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 400


@dataclass(frozen=True, slots=True)
class ToStop:
    """A running job whose stop was asked for."""

    job_id: int
    attempt: int
    reason: str
    """`stopped by <who>: <why>`."""


def ask(job: Job, who: str, why: str, using: str) -> None:
    """Have the job's run end as soon as its worker can, for good; the instance is as its row afterwards.

    Raises JobTransitionRefused, with the reason, where that cannot be done or was done already. To be called
    in a transaction together with what tells of it: of two who ask at once one is refused.
    """
    with writing(using):
        refusal = why_not(job, using)
        if refusal is None and not transitions.ask_to_stop(_this_run(job, using), reason_of(who, why)):
            job.refresh_from_db(using=using)
            meanwhile = JobTransitionRefused(
                _("job %(number)s has begun another run meanwhile") % {"number": job.pk}
            )
            refusal = why_not(job, using) or meanwhile
        if refusal is not None:
            raise refusal
        job.refresh_from_db(using=using)


def _this_run(job: Job, using: str) -> JobQuerySet:
    return jobs_in(using).filter(models.Q(worker_id=job.worker_id), pk=job.pk, attempt=job.attempt)


def reason_of(who: str, why: str, done: str = "stopped") -> str:
    """What stands in the row of what was stopped, or of what was stuck until somebody ended its claim."""
    text = f"{done} by {who}: {why.strip()}" if why.strip() else f"{done} by {who}"
    return clean(" ".join(text.split())[:_LONGEST_TEXT], transitions.LONGEST_REASON - 2)


def why_not(job: Job, using: str) -> JobTransitionRefused | None:
    """Why this job, as it was read, cannot be stopped; None if it can."""
    if job.state != Job.State.ACTIVE:
        text = _("job %(number)s is %(state)s and cannot be stopped; that takes a job that is running")
        return NotRunning(text % {"number": job.pk, "state": job.get_state_display()})
    if job.stop_asked_at is not None:
        text = _("job %(number)s is being stopped already: %(reason)s")
        return AlreadyStopping(text % {"number": job.pk, "reason": job.stop_reason})
    worker = Worker.objects.using(using).filter(pk=job.worker_id).first() if job.worker_id else None
    if worker is None or not _is_alive(worker, using):
        text = _(
            "job %(number)s cannot be stopped: its worker is gone, so nothing of it runs that could be. "
            "The next worker that is alive brings it back, or an operator does; then it can be cancelled"
        )
        return WorkerGone(text % {"number": job.pk})
    if not worker.takes_orders:
        text = _(
            "job %(number)s cannot be stopped: its worker %(worker)s runs an older version, which does not "
            "know how. Stop that worker, or wait for the job's time limit"
        )
        return WorkerTooOld(text % {"number": job.pk, "worker": worker.title})
    return None


def _is_alive(worker: Worker, using: str) -> bool:
    silent_since = Now() - timedelta(seconds=get_settings().worker_silence)
    return Worker.objects.using(using).filter(pk=worker.pk, heartbeat_at__gte=silent_since).exists()


# By workers, or in their place ----------------------------------------------------------------------


def of_worker(worker_id: uuid.UUID, using: str) -> list[ToStop]:
    """The jobs that this worker holds and whose stop was asked for."""
    rows = jobs_in(using).filter(worker_id=worker_id, state=Job.State.ACTIVE, stop_asked_at__isnull=False)
    return [ToStop(*row) for row in rows.order_by().values_list("pk", "attempt", "stop_reason")]


def end(job: Job, worker_id: uuid.UUID | None, using: str) -> int:
    """End this claim as cancelled, if its stop was asked for, and tell the listeners to `job_cancelled`.

    To be called when another verb found that it may not end the claim. Returns how many it ended: 1 or 0.
    """
    with writing(using):
        ended = transitions.end_stopped(jobs_in(using), job, worker_id)
        if ended:
            row = jobs_in(using).get(pk=job.pk)
            _tell(row, using)
    if ended:
        logger.info("job %d (%s) ended in attempt %d: %s", job.pk, job.processor, job.attempt, row.reason)
    return ended


def _tell(job: Job, using: str) -> None:
    """Unlike a job that waits, this one has ended whatever a listener says."""
    try:
        with writing(using):
            signals.job_cancelled.send(Job, jobs=[job], reason=job.reason, using=using)
    except Exception:
        logger.exception("a listener failed that was told of the stop of job %d", job.pk)
