"""The limits of queues: how many jobs may start in a second, and run at once, in all workers together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys, scripts
from jobqueue.broker.connections import as_unavailable, client_for
from jobqueue.broker.scripts import Script

MOST_RATE = 10_000
"""The highest rate limit: Redis keeps the time of so many starts."""
RATE_WINDOW = 1100
"""Milliseconds for which a start counts against a rate limit.

The limit is about any second in which jobs start, and they start a little after their claim, some later than
others: so much longer is the time in which claims are counted. Those that took longer still are counted once
more, by `count_late_starts`.
"""
_LATE_STARTS = Script("late_starts", "queue", "number", "rate")


class QueueLimits(NamedTuple):
    """What holds messages of one queue back, in all workers together; None is no limit."""

    rate: int | None = None
    """Starts within any second."""
    concurrency: int | None = None
    """Jobs that run at once."""

    def texts(self) -> tuple[int | str, ...]:
        """The limits as the scripts are given them."""
        return tuple("" if limit is None else limit for limit in self)


def count_late_starts(starts: Mapping[str, tuple[int, int]]) -> None:
    """Let rate limits count jobs from now that were claimed a while ago: (number, rate limit) by queue."""
    with as_unavailable():
        for queue, (number, rate) in starts.items():
            scripts.run(client_for(queue), _LATE_STARTS, queue=queue, number=number, rate=rate)


def is_rate_used_up(queue: str, rate: int, purpose: str = "probe") -> bool:
    """Whether a rate limit lets no job of this queue start at this moment."""
    with as_unavailable():
        client = client_for(queue, purpose)
        oldest = _start(client, queue, rate - 1) if rate else None
        seconds, microseconds = client.time()
    if oldest is None:
        return rate == 0
    return oldest + RATE_WINDOW > seconds * 1000 + microseconds // 1000


def _start(client: Redis, queue: str, place: int) -> int | None:
    """When the start at this place among the last ones was; None where there is none, or nonsense."""
    try:
        return int(client.lindex(keys.starts(queue), place) or "")
    except (ResponseError, TypeError, ValueError):
        # The next claim sets it aside.
        return None
