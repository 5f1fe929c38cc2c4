"""From the database to Redis: publish after the commit, and what is due.

One road: a delayed, retried, handed back, rescued or never published job is a waiting row whose
`run_at` has come and whose `published_at` is empty. The relay publishes those, and publishes again
what Redis forgot.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue import signals
from jobqueue.broker import bell, queues
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, transitions
from jobqueue.sql.writing import run_when_free, writing

logger = logging.getLogger(__name__)
# What the relay holds in memory of the next moment; the rest is published when it is due.
_MOST_UPCOMING = 5_000
# A job due within so many seconds may be unknown to the relay, which looked ahead already.
_NEAR = timedelta(seconds=3)


def message_of(job: Job, using: str) -> Message:
    """The message that starts this attempt of the job."""
    return Message(job.queue, job.pk, job.attempt, using, job.processor, job.timeout)


def publish_on_commit(jobs: Sequence[Job], using: str) -> None:
    """Publish these rows as soon as the transaction they were written in has committed.

    A rollback forgets them. Redis down or slow costs the caller at most twice PUBLISH_TIMEOUT.
    """
    batch = list(jobs)
    transaction.on_commit(lambda: _publish_committed(batch, using), using=using, robust=True)


def _publish_committed(jobs: list[Job], using: str) -> None:
    due = [message_of(job, using) for job in jobs if job.published_at is not None]
    try:
        if due:
            queues.publish(due, hurry=True)
        if len(due) < len(jobs) and _is_any_near(jobs):
            bell.ring_relay(hurry=True)
    except BrokerUnavailable as error:
        logger.warning("%d jobs wait for the relay: %s", len(jobs), error)
        _mark_unpublished([message.job_id for message in due], using)
    signals.send(signals.job_enqueued, Job, jobs=jobs)


def _is_any_near(jobs: Sequence[Job]) -> bool:
    # This host's clock decides only whether to wake the relay; what is due, the database's clock decides.
    near = timezone.now() + _NEAR
    return any(job.published_at is None and job.run_at <= near for job in jobs)


def _mark_unpublished(job_ids: list[int], using: str) -> None:
    rows = Job.objects.using(using).filter(pk__in=job_ids)
    run_when_free(using, lambda: transitions.mark_unpublished(rows))


def unpublish(attempts: Sequence[tuple[int, int]], using: str) -> int:
    """Leave these `(job id, attempt)` to the relay, as far as they still wait. Returns how many.

    What somebody has locked is left out: they change it, and publish it again or end it.
    """
    wanted = dict(attempts)
    with writing(using):
        rows = Job.objects.using(using).waiting().filter(pk__in=wanted, published_at__isnull=False)
        if connections[using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = [pk for pk, attempt in rows.values_list("pk", "attempt") if wanted[pk] == attempt]
        return transitions.mark_unpublished(Job.objects.using(using).filter(pk__in=ids)) if ids else 0


# Queues of rows that this process has no settings for, as found out so far.
_unknown_queues: set[str] = set()


def publishable(using: str) -> QuerySet[Job]:
    """The waiting rows of queues that this process knows; others wait for a process that does."""
    waiting = Job.objects.using(using).waiting()
    return waiting.exclude(queue__in=_unknown_queues) if _unknown_queues else waiting


def is_known(queue: str) -> bool:
    if queue in django_settings.RQ_QUEUES:
        return True
    if queue not in _unknown_queues:
        _unknown_queues.add(queue)
        configured = ", ".join(django_settings.RQ_QUEUES)
        logger.error("jobs wait on the queue %r, which is not in RQ_QUEUES; there are: %s", queue, configured)
    return False


def publish_due(using: str, *, overdue_by: float = 0.0, except_for: Sequence[int] = ()) -> int:
    """Publish the rows that are due and were not published, oldest first. Returns how many.

    With `overdue_by` only those that are due for so many seconds; those with the ids `except_for` are left.
    """
    limit = get_settings().relay_batch
    unpublished = publishable(using).filter(published_at__isnull=True)
    if except_for:
        unpublished = unpublished.exclude(pk__in=except_for)
    if connections[using].vendor == "sqlite" and not unpublished.filter(run_at__lte=Now()).exists():
        return 0  # nobody waits for a lock while there is nothing to write
    with writing(using):
        due = unpublished.filter(run_at__lte=Now() - timedelta(seconds=overdue_by)).order_by("run_at")
        if connections[using].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        rows = [job for job in due[:limit] if is_known(job.queue)]
        if not rows:
            return 0
        transitions.mark_published(Job.objects.using(using).filter(pk__in=[job.pk for job in rows]))
    # After the commit: a worker that met the row locked would drop the message as stale.
    try:
        queues.publish([message_of(job, using) for job in rows])
    except BrokerUnavailable:
        _mark_unpublished([job.pk for job in rows], using)
        raise
    return len(rows)


def upcoming(using: str, seconds: float) -> list[tuple[datetime, Message]]:
    """When each of the next jobs is due, and its message; those of the next `seconds`, in order."""
    rows = (
        publishable(using)
        .filter(published_at__isnull=True, run_at__gt=Now(), run_at__lte=Now() + timedelta(seconds=seconds))
        .order_by("run_at")
        .values_list("run_at", "queue", "pk", "attempt", "processor", "timeout")
    )
    return [
        (run_at, Message(queue, pk, attempt, using, processor, timeout))
        for run_at, queue, pk, attempt, processor, timeout in rows[:_MOST_UPCOMING]
        if is_known(queue)
    ]
