"""From the database to Redis: publish after the commit, and the relay for everything else.

One road: a delayed, retried, handed back, rescued or never published job is a waiting row whose
`run_at` has come and whose `published_at` is empty. The relay publishes those, and publishes again
what Redis forgot.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.db import connections, router, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue import events, queues
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, Worker

logger = logging.getLogger("jobqueue.outbox")

_TICK = timedelta(microseconds=1)
# What the relay holds in memory of the next moment; the rest is published when it is due.
_MOST_UPCOMING = 5_000
# A job due within so many seconds may be unknown to the relay, which looked ahead already.
_NEAR = timedelta(seconds=3)


def message_of(job: Job, database: str) -> queues.Message:
    """The message that starts this attempt of the job."""
    return queues.Message(job.queue, job.pk, job.attempt, database, job.processor, job.timeout)


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
            queues.ring_relay(hurry=True)
    except BrokerUnavailable as error:
        logger.warning("%d jobs wait for the relay: %s", len(jobs), error)
        _mark_unpublished([message.job_id for message in due], using)
    events.send(events.job_enqueued, Job, jobs=jobs)


def _is_any_near(jobs: Sequence[Job]) -> bool:
    # This host's clock decides only whether to wake the relay; what is due, the database's clock decides.
    near = timezone.now() + _NEAR
    return any(job.published_at is None and job.run_at <= near for job in jobs)


def _mark_unpublished(job_ids: list[int], using: str) -> None:
    Job.objects.using(using).waiting().filter(pk__in=job_ids).update(published_at=None)


def unpublish(attempts: Sequence[tuple[int, int]], using: str) -> int:
    """Leave these `(job id, attempt)` to the relay, as far as they still wait. Returns how many.

    What somebody has locked is left out: they change it, and publish it again or end it.
    """
    wanted = dict(attempts)
    with transaction.atomic(using=using):
        rows = Job.objects.using(using).waiting().filter(pk__in=wanted, published_at__isnull=False)
        if connections[using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = [pk for pk, attempt in rows.values_list("pk", "attempt") if wanted[pk] == attempt]
        return Job.objects.using(using).filter(pk__in=ids).update(published_at=None) if ids else 0


def databases() -> list[str]:
    """The aliases whose jobs are served: those that hold the job queue's tables."""
    aliases = get_settings().databases or tuple(
        alias for alias in connections if router.allow_migrate_model(alias, Job)
    )
    return list(aliases)


# Queues of rows that this process has no settings for, as found out so far.
_unknown_queues: set[str] = set()


def _publishable(using: str) -> QuerySet[Job]:
    """The waiting rows of queues that this process knows; others wait for a process that does."""
    waiting = Job.objects.using(using).waiting()
    return waiting.exclude(queue__in=_unknown_queues) if _unknown_queues else waiting


def _is_known(queue: str) -> bool:
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
    objects = Job.objects.using(using)
    unpublished = _publishable(using).filter(published_at__isnull=True)
    if except_for:
        unpublished = unpublished.exclude(pk__in=except_for)
    with transaction.atomic(using=using):
        due = unpublished.filter(run_at__lte=Now() - timedelta(seconds=overdue_by)).order_by("run_at")
        if connections[using].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        rows = [job for job in due[:limit] if _is_known(job.queue)]
        if not rows:
            return 0
        objects.filter(pk__in=[job.pk for job in rows]).update(published_at=Now())
    # After the commit: a worker that met the row locked would drop the message as stale.
    try:
        queues.publish([message_of(job, using) for job in rows])
    except BrokerUnavailable:
        _mark_unpublished([job.pk for job in rows], using)
        raise
    return len(rows)


def upcoming(using: str, seconds: float) -> list[tuple[datetime, queues.Message]]:
    """When each of the next jobs is due, and its message; those of the next `seconds`, in order."""
    rows = (
        _publishable(using)
        .filter(published_at__isnull=True, run_at__gt=Now(), run_at__lte=Now() + timedelta(seconds=seconds))
        .order_by("run_at")
        .values_list("run_at", "queue", "pk", "attempt", "processor", "timeout")
    )
    return [
        (run_at, queues.Message(queue, pk, attempt, using, processor, timeout))
        for run_at, queue, pk, attempt, processor, timeout in rows[:_MOST_UPCOMING]
        if _is_known(queue)
    ]


@dataclass
class LostMessages:
    """Walks the published rows that still wait, a bounded number at a time, and publishes the lost again.

    Messages get lost when Redis is flushed or fails over, when a process dies between its commit
    and its push, and when a worker dies between Redis and the database.
    """

    using: str
    _position: tuple[datetime, int] | None = field(default=None, init=False)

    def publish_again(self) -> int:
        """Check the next rows; returns how many were published again."""
        settings = get_settings()
        rows = self._next_rows(settings.relay_batch, settings.lost_after)
        if not rows:
            return 0
        alive = Worker.objects.using(self.using).filter(
            heartbeat_at__gte=Now() - timedelta(seconds=settings.worker_silence)
        )
        messages = [message_of(job, self.using) for job in rows if _is_known(job.queue)]
        living = [worker_id.hex for worker_id in alive.values_list("id", flat=True)]
        lost = self._still_waiting(queues.unknown(messages, living))
        if lost:
            logger.warning("publishing %d jobs again that Redis had lost", len(lost))
            queues.publish(lost)
            Job.objects.using(self.using).waiting().filter(
                pk__in=[message.job_id for message in lost]
            ).update(published_at=Now())
        return len(lost)

    def _still_waiting(self, unknown: list[queues.Message]) -> list[queues.Message]:
        """Those that did not just run: Redis forgets a message as soon as its job is settled."""
        ids = [message.job_id for message in unknown]
        rows = Job.objects.using(self.using).waiting().filter(pk__in=ids, published_at__isnull=False)
        attempts = dict(rows.values_list("pk", "attempt")) if ids else {}
        return [message for message in unknown if attempts.get(message.job_id) == message.attempt]

    def _next_rows(self, limit: int, lost_after: float) -> list[Job]:
        published = (
            _publishable(self.using)
            .filter(published_at__lt=Now() - timedelta(seconds=lost_after))
            .order_by("published_at", "id")
        )
        remaining = published
        if self._position is not None:
            moment, last_id = self._position
            # Not `=`: SQLite compares times as text, and writes fewer digits than a parameter has.
            remaining = published.filter(
                Q(published_at__gte=moment + _TICK) | Q(id__gt=last_id), published_at__gt=moment - _TICK
            )
        rows = list(remaining[:limit])
        # At the end the walk begins anew, with the next call.
        last = rows[-1] if len(rows) == limit else None
        self._position = (last.published_at, last.pk) if last and last.published_at else None
        return rows
