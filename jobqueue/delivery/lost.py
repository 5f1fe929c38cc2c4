"""Finds the waiting rows whose messages Redis lost, and publishes them again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from jobqueue.broker import registries
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery.apart import blame, take_apart
from jobqueue.delivery.outbox import push
from jobqueue.delivery.publishable import message_of, messages_in, publishable
from jobqueue.models import Worker, jobs_in, transitions
from jobqueue.models.parking import limited_processors
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

_TICK = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC) + _TICK


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
        messages = [message for message, _published_at in rows]
        living = [worker.id.hex for worker in alive.only("id")]
        return self._publish(registries.unknown(messages, living))

    def _publish(self, unknown: list[Message]) -> int:
        """Publish those of them that still wait; one that cannot be marked so is set aside."""
        found = take_apart(unknown, self._take)
        lost = [message for messages in found.done for message in messages]
        if lost:
            logger.warning("publishing %d jobs again that Redis had lost", len(lost))
            # After the commit: a worker that met the row locked would drop the message as stale.
            push(lost, self.using)
        for message, error in found.refused:
            row = jobs_in(self.using).waiting().filter(pk=message.job_id)
            blame(row, error, lambda job: self._take([message_of(job, self.using)]))
        if found.error is not None:
            raise found.error
        return len(lost)

    def _take(self, unknown: Sequence[Message]) -> list[Message]:
        """Mark as published those that did not just run: Redis forgets a message once its job is settled.

        In the order given. What somebody has locked is left for the next walk.
        """
        ids = [message.job_id for message in unknown]
        with writing(self.using):
            rows = jobs_in(self.using).waiting().filter(pk__in=ids, published_at__isnull=False)
            if connections[self.using].features.has_select_for_update_skip_locked:
                rows = rows.select_for_update(skip_locked=True)
            attempts = dict(rows.values_list("pk", "attempt"))
            lost = [message for message in unknown if attempts.get(message.job_id) == message.attempt]
            if lost:
                marked = [message.job_id for message in lost]
                transitions.mark_published(jobs_in(self.using).filter(pk__in=marked))
        return lost

    def clock_stepped_back(self, seconds: float) -> None:
        """Look at what was published before that too, which the database's clock takes for the future."""
        self._future_until = time.monotonic() + seconds + get_settings().lost_after

    def _rows_of_the_future(self, limit: int) -> list[tuple[Message, datetime]]:
        if limit <= 0:
            return []
        # Those of a processor with limits start from their rows, as what is parked, without a message.
        ahead = publishable(self.using).filter(published_at__gt=Now())
        others = ahead.exclude(processor__in=limited_processors()).order_by("published_at", "id")
        return messages_in(others[:limit], "published_at")

    def _next_rows(self, limit: int, lost_after: float) -> list[tuple[Message, datetime]]:
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
                Q(published_at__gte=moment + _TICK) | Q(id__gt=last_id),
                published_at__gt=max(moment, _FIRST) - _TICK,
            )
        rows = messages_in(remaining[:limit], "published_at")
        # At the end the walk begins anew, with the next call; so it does behind rows that were left out.
        last, published_at = rows[-1] if len(rows) == limit else (None, None)
        self._position = (published_at, last.job_id) if last and published_at else None
        return rows
