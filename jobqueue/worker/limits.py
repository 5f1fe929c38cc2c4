"""What operators decided about the queues: pauses and limits, as this process knows them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from jobqueue.broker.limits import MOST_RATE, QueueLimits
from jobqueue.models import Queue
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
        self.paused = self._quiet.union(row.name for row in rows if row.paused or row.name in odd)
        self.limits = {
            row.name: QueueLimits(
                row.rate_limit if row.rate_limit is None else min(row.rate_limit, MOST_RATE),
                row.concurrency_limit,
            )
            for row in rows
            if row.rate_limit is not None or row.concurrency_limit is not None
        }
        return before != (self.paused, self.limits)
