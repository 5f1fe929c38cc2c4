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
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue import signals
from jobqueue.broker import bell, queues
from jobqueue.broker.connections import queues_beside
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery.apart import blame, set_aside, take_apart
from jobqueue.delivery.publishable import message_of, messages_in, publishable
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, JobQuerySet, jobs_in, transitions
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.tolerant import LAST
from jobqueue.sql.writing import run_when_free, writing

__all__ = [
    "bring_forward",
    "publish_due",
    "publish_on_commit",
    "push",
    "set_aside_never_due",
    "unpublish",
    "upcoming",
]

logger = logging.getLogger(__name__)
# What the relay holds in memory of the next moment; the rest is published when it is due.
_MOST_UPCOMING = 5_000
# A job due within so many seconds may be unknown to the relay, which looked ahead already.
_NEAR = timedelta(seconds=3)
# Within this time after the database's clock stepped back a relay has noticed.
_SINCE_THE_STEP = timedelta(seconds=5)


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


def publish_due(using: str, *, overdue_by: float = 0.0, except_for: Sequence[int] = ()) -> int:
    """Publish the rows that are due and were not published, oldest first. Returns how many.

    With `overdue_by` only those that are due for so many seconds; those with the ids `except_for` are left.
    A row that keeps the others from being published is set aside.
    """
    unpublished = publishable(using).filter(published_at__isnull=True)
    if except_for:
        unpublished = unpublished.exclude(pk__in=except_for)
    due = unpublished.filter(run_at__lte=Now() - timedelta(seconds=overdue_by)).order_by("run_at")
    if connections[using].vendor == "sqlite" and not due.exists():
        return 0  # nobody waits for a lock while there is nothing to write
    return _publish_all(due)


def _publish_all(due: JobQuerySet) -> int:
    """Publish a batch of these rows, and where a Redis is away a batch of the queues of each other one."""
    count, away = 0, set[str]()
    first: BrokerUnavailable | None = None
    while first is None or _are_others(away):
        try:
            count += _publish_batch(due.exclude(queue__in=away) if away else due)
            break
        except BrokerUnavailable as error:
            first = first or error
            if not error.queues - away:
                break
            away |= queues_beside(error.queues)
    if first is not None:
        raise first
    return count


def _are_others(away: set[str]) -> bool:
    return any(queue not in away for queue in django_settings.RQ_QUEUES)


def _publish_batch(due: JobQuerySet) -> int:
    try:
        messages = _take(due[: get_settings().relay_batch])
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        messages = _take_apart(due)
    # After the commit: a worker that met the row locked would drop the message as stale.
    if messages:
        push(messages, due.db)
    return len(messages)


def push(messages: Sequence[Message], using: str) -> None:
    """Push messages whose rows are marked as published. Raises BrokerUnavailable; then they are not."""
    try:
        queues.publish(messages)
    except BrokerUnavailable:
        _mark_unpublished([message.job_id for message in messages], using)
        raise


def _take(due: JobQuerySet) -> list[Message]:
    """Mark these rows as published; the messages that are to be pushed now."""
    using = due.db
    with writing(using):
        if connections[using].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        messages = [message for (message,) in messages_in(due)]
        if messages:
            transitions.mark_published(jobs_in(using).filter(pk__in=[message.job_id for message in messages]))
    return messages


def _take_apart(due: JobQuerySet) -> list[Message]:
    """Likewise, of rows that cannot be marked together: without those that raise alone."""
    using = due.db
    ids = list(due.values_list("pk", flat=True)[: get_settings().relay_batch])
    found = take_apart(ids, lambda some: _take(due.filter(pk__in=some)))
    for job_id, error in found.refused:
        blame(
            jobs_in(using).waiting().filter(pk=job_id),
            error,
            lambda job: _take(jobs_in(using).filter(pk=job.pk)),
        )
    return [message for messages in found.done for message in messages]


def set_aside_never_due(using: str) -> int:
    """Set aside what waits for a time that no calendar has, and would never be due. Returns how many."""
    late = publishable(using).filter(published_at__isnull=True, run_at__gt=LAST)
    ids = list(late.order_by("run_at").values_list("pk", flat=True)[: get_settings().relay_batch])
    why = "run_at is no time that ever comes"
    return sum(set_aside(jobs_in(using).waiting().filter(pk=job_id), why) for job_id in ids)


def bring_forward(using: str, until: datetime) -> int:
    """Make due what was due already when the database's clock showed `until`, before it stepped back.

    Returns how many. What was asked for since then keeps its time.
    """
    left_out = Q(created_at__gt=Now() - _SINCE_THE_STEP, created_at__lte=Now())
    rows = publishable(using).filter(published_at__isnull=True, run_at__gt=Now(), run_at__lte=until)
    return transitions.run_now(rows.exclude(left_out))


def upcoming(using: str, seconds: float) -> list[tuple[datetime, Message]]:
    """When each of the next jobs is due, and its message; those of the next `seconds`, in order."""
    rows = (
        publishable(using)
        .filter(published_at__isnull=True, run_at__gt=Now(), run_at__lte=Now() + timedelta(seconds=seconds))
        .order_by("run_at")
    )
    return [(run_at, message) for message, run_at in messages_in(rows[:_MOST_UPCOMING], "run_at")]
