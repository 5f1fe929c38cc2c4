"""Finds the waiting rows whose messages Redis lost, and publishes them again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Now

from jobqueue.broker import queues, registries
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery.outbox import is_known, message_of, publishable
from jobqueue.models import Job, Worker, transitions

logger = logging.getLogger(__name__)

_TICK = timedelta(microseconds=1)


@dataclass
class LostMessages:
    """Walks the published rows that still wait, a bounded number at a time, and publishes the lost again.

    Messages get lost when Redis is flushed or fails over, when a process dies between its commit
    and its push, and when a worker dies between Redis and the database.
    """

    using: str
    _position: tuple[datetime, int] | None = field(default=None, init=False)
    _future_until: float = field(default=0.0, init=False)

    def publish_again(self) -> int:
        """Check the next rows; returns how many were published again."""
        settings = get_settings()
        rows = self._next_rows(settings.relay_batch, settings.lost_after)
        if time.monotonic() < self._future_until:
            rows += self._rows_of_the_future(settings.relay_batch - len(rows))
        if not rows:
            return 0
        alive = Worker.objects.using(self.using).filter(
            heartbeat_at__gte=Now() - timedelta(seconds=settings.worker_silence)
        )
        messages = [message_of(job, self.using) for job in rows if is_known(job.queue)]
        living = [worker_id.hex for worker_id in alive.values_list("id", flat=True)]
        lost = self._still_waiting(registries.unknown(messages, living))
        if lost:
            logger.warning("publishing %d jobs again that Redis had lost", len(lost))
            queues.publish(lost)
            transitions.mark_published(
                Job.objects.using(self.using).filter(pk__in=[message.job_id for message in lost])
            )
        return len(lost)

    def clock_stepped_back(self, seconds: float) -> None:
        """What was published before that is looked at too, which the database's clock takes for the future."""
        self._future_until = time.monotonic() + seconds + get_settings().lost_after

    def _still_waiting(self, unknown: list[Message]) -> list[Message]:
        """Those that did not just run: Redis forgets a message as soon as its job is settled."""
        ids = [message.job_id for message in unknown]
        rows = Job.objects.using(self.using).waiting().filter(pk__in=ids, published_at__isnull=False)
        attempts = dict(rows.values_list("pk", "attempt")) if ids else {}
        return [message for message in unknown if attempts.get(message.job_id) == message.attempt]

    def _rows_of_the_future(self, limit: int) -> list[Job]:
        ahead = publishable(self.using).filter(published_at__gt=Now())
        return list(ahead.order_by("published_at", "id")[:limit]) if limit > 0 else []

    def _next_rows(self, limit: int, lost_after: float) -> list[Job]:
        published = (
            publishable(self.using)
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
