"""What operators decided about queues and processors: pauses and limits, as this process knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from jobqueue.broker.limits import MOST_RATE, QueueLimits
from jobqueue.models import ProcessorLimits, Queue
from jobqueue.models.pauses import end_pauses
from jobqueue.registry import all_processors
from jobqueue.sql.clock import database_now
from jobqueue.sql.databases import OUTAGES, close_broken_connections
from jobqueue.sql.tolerant import unreadable

logger = logging.getLogger(__name__)
# For so many seconds after the limits of a processor ended, executors may park jobs that did not see it yet.
_ENDING = 60.0


class QueueDecisions:
    """What operators decided about the queues, read often enough to be in force within a second."""

    READ_EVERY = 0.5

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()
        self.limits: dict[str, QueueLimits] = {}
        self.processors: dict[str, QueueLimits] = {}
        """By processor, of those that have any."""
        self.ended: frozenset[str] = frozenset()
        """The processors that had limits a while ago, or before this process began."""
        self._ending: dict[str, float] = {}
        self._new_until = time.monotonic() + _ENDING
        self._odd: dict[str, str] = {}
        self._quiet: frozenset[str] = frozenset()

    def be_quiet(self, queues: Iterable[str]) -> None:
        """Take these queues for paused: this worker is to claim nothing of them."""
        self._quiet = frozenset(queues)
        self.paused |= self._quiet

    def read(self) -> bool:
        """Read them; whether anything changed."""
        before = self.paused, self.limits, self.processors, self.ended
        self._read_processors()
        rows = list(Queue.objects.all())
        # A limit that cannot be read is none that may be exceeded.
        odd = {row.name: unreadable(row) for row in rows if unreadable(row)}
        for name in odd.keys() - self._odd.keys():
            logger.error("the queue %r is paused: in its row %s", name, odd[name])
        self._odd = odd
        self.paused = _paused(rows) | frozenset(odd) | self._quiet
        self.limits = {row.name: limits for row in rows if (limits := _limits_of(row))}
        return before != (self.paused, self.limits, self.processors, self.ended)

    def limited_here(self) -> list[str]:
        """The processors with limits that this process can run; what it cannot run is handed on as ever."""
        if not self.processors:
            return []
        return [each.name for each in all_processors() if each.name in self.processors]

    def _read_processors(self) -> None:
        rows = list(ProcessorLimits.objects.all())
        # Of what cannot be read none starts, rather than too many.
        read = {row.name: QueueLimits(concurrency=0) if unreadable(row) else _limits_of(row) for row in rows}
        limited = {name: limits for name, limits in read.items() if limits}
        now = time.monotonic()
        self._ending = {name: until for name, until in self._ending.items() if until > now}
        if now < self._new_until:
            self._ending |= dict.fromkeys(read, self._new_until)
        self._ending |= dict.fromkeys(self.processors.keys() - limited.keys(), now + _ENDING)
        self.processors = limited
        self.ended = frozenset(self._ending.keys() - limited.keys())


def _limits_of(row: Queue | ProcessorLimits) -> QueueLimits | None:
    """What the row says, None if that is no limit."""
    if row.rate_limit is None and row.concurrency_limit is None:
        return None
    rate = row.rate_limit if row.rate_limit is None else min(row.rate_limit, MOST_RATE)
    return QueueLimits(rate, row.concurrency_limit)


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
