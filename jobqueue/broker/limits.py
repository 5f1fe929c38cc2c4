"""Limits of queues and processors: how many jobs may start in a second, and run at once, in all workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys, scripts
from jobqueue.broker.connections import as_unavailable, client_for, clients
from jobqueue.broker.scripts import Script

MOST_RATE = 10_000
"""The highest rate limit: Redis keeps the time of so many starts."""
RATE_WINDOW = 1100
"""Milliseconds for which a start counts against a rate limit.

The limit is about any second in which jobs start, and they start a little after their claim, some later than
others: so much longer is the time in which claims are counted. Those that took longer still are counted once
more, by `count_late_starts`.
"""
_LATE_STARTS = Script("late_starts", "starts", "number", "rate")
_TAKE_STARTS = Script("take_starts", "starts", "rate", "wanted", "window")
_GIVE_STARTS_BACK = Script("give_starts_back", "starts", "number")


class QueueLimits(NamedTuple):
    """What holds jobs of one queue or one processor back, in all workers together; None is no limit."""

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
            scripts.run(client_for(queue), _LATE_STARTS, starts=keys.starts(queue), number=number, rate=rate)


class RateLimit(NamedTuple):
    """The rate limit of a processor or of a queue, one of which is named."""

    rate: int
    processor: str = ""
    queue: str = ""

    def take(self, wanted: int) -> tuple[int, float]:
        """Count so many starts, or as many as it leaves now: how many, and seconds until there are more."""
        given = {"rate": self.rate, "wanted": wanted, "window": RATE_WINDOW}
        with as_unavailable():
            left, pause = scripts.run(self._client(), _TAKE_STARTS, starts=self._key, **given)
        return left, pause / 1000

    def give_back(self, number: int) -> None:
        """Count so many starts no longer: they did not happen."""
        with as_unavailable():
            scripts.run(self._client(), _GIVE_STARTS_BACK, starts=self._key, number=number)

    def count_late(self, number: int) -> None:
        """Count so many starts from now that were taken a while ago."""
        with as_unavailable():
            scripts.run(self._client(), _LATE_STARTS, starts=self._key, number=number, rate=self.rate)

    def is_used_up(self, purpose: str = "probe") -> bool:
        """Whether it lets no job start at this moment."""
        with as_unavailable():
            client = self._client(purpose)
            oldest = _start(client, self._key, self.rate - 1) if self.rate else None
            seconds, microseconds = client.time()
        if oldest is None:
            return self.rate == 0
        return oldest + RATE_WINDOW > seconds * 1000 + microseconds // 1000

    @property
    def _key(self) -> str:
        return keys.starts_of(self.processor) if self.processor else keys.starts(self.queue)

    def _client(self, purpose: str = "work") -> Redis:
        # A processor may have jobs on several servers; its starts are counted on the first.
        return clients(purpose)[0] if self.processor else client_for(self.queue, purpose)


def is_rate_used_up(queue: str, rate: int, purpose: str = "probe") -> bool:
    """Whether a rate limit lets no job of this queue start at this moment."""
    return RateLimit(rate, queue=queue).is_used_up(purpose)


def _start(client: Redis, starts: str, place: int) -> int | None:
    """When the start at this place among the last ones was; None where there is none, or nonsense."""
    try:
        return int(client.lindex(starts, place) or "")
    except (ResponseError, TypeError, ValueError):
        # The next claim sets it aside.
        return None
