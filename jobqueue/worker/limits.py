"""What operators decided about the queues: pauses and limits, as this process knows them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from jobqueue.broker.limits import MOST_RATE, QueueLimits
from jobqueue.models import Queue
from jobqueue.models.pauses import end_pauses
from jobqueue.sql.clock import database_now
from jobqueue.sql.databases import OUTAGES, close_broken_connections
from jobqueue.sql.tolerant import unreadable

logger = logging.getLogger(__name__)


class QueueDecisions:
    """What operators decided about the queues, read often enough to be in force within a second."""

    READ_EVERY = 0.5

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()
        self.limits: dict[str, QueueLimits] = {}
        self._odd: dict[str, str] = {}
        self._quiet: frozenset[str] = frozenset()

    def be_quiet(self, queues: Iterable[str]) -> None:
        """Take these queues for paused: this worker is to claim nothing of them."""
        self._quiet = frozenset(queues)
        self.paused |= self._quiet

    def read(self) -> bool:
        """Read them; whether anything changed."""
        before = self.paused, self.limits
        rows = list(Queue.objects.all())
        # A limit that cannot be read is none that may be exceeded.
        odd = {row.name: unreadable(row) for row in rows if unreadable(row)}
        for name in odd.keys() - self._odd.keys():
            logger.error("the queue %r is paused: in its row %s", name, odd[name])
        self._odd = odd
        self.paused = _paused(rows) | frozenset(odd) | self._quiet
        self.limits = {
            row.name: QueueLimits(
                row.rate_limit if row.rate_limit is None else min(row.rate_limit, MOST_RATE),
                row.concurrency_limit,
            )
            for row in rows
            if row.rate_limit is not None or row.concurrency_limit is not None
        }
        return before != (self.paused, self.limits)


def _paused(rows: list[Queue]) -> frozenset[str]:
    """The queues that are paused at this moment. A pause whose time has come is ended in its row too."""
    if not any(row.paused_at or row.paused_until for row in rows):
        return frozenset(row.name for row in rows if row.paused)
    now = database_now(Queue.objects.db)
    paused = frozenset(row.name for row in rows if row.is_paused_at(now))
    if any((row.paused_at or row.paused_until) and row.name not in paused for row in rows):
        _end_pauses()
    return paused


def _end_pauses() -> None:
    """Write down that they ended, for workers of a release before and for whoever looks."""
    try:
        if end_pauses():
            logger.info("a pause of queues has ended at its time")
    except OUTAGES as error:
        logger.warning("the end of a pause is not written yet: %s: %s", type(error).__name__, error)
        close_broken_connections()
