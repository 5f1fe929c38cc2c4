"""What operators decided about the queues: pauses and limits, as this process knows them."""

from __future__ import annotations

from jobqueue.broker.limits import MOST_RATE, QueueLimits
from jobqueue.models import Queue


class QueueDecisions:
    """What operators decided about the queues, read often enough to be in force within a second."""

    READ_EVERY = 0.5

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()
        self.limits: dict[str, QueueLimits] = {}

    def read(self) -> bool:
        """Read them; whether anything changed."""
        before = self.paused, self.limits
        rows = list(Queue.objects.values_list("name", "paused", "rate_limit", "concurrency_limit"))
        self.paused = frozenset(name for name, paused, _rate, _concurrency in rows if paused)
        self.limits = {
            name: QueueLimits(rate if rate is None else min(rate, MOST_RATE), concurrency)
            for name, _paused, rate, concurrency in rows
            if rate is not None or concurrency is not None
        }
        return before != (self.paused, self.limits)
