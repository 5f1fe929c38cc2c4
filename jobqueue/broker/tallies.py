"""How many jobs ended, and how long they waited and ran: amounts in buckets, which add up over all processes.

A percentile of sums is that of all jobs; an average of percentiles would be none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from operator import add

BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0, 86_400.0, 604_800.0),
)
"""The upper bounds of the buckets, in seconds; what is longer falls into one more. They never change: what is
kept was counted by them."""
BUCKETS = len(BOUNDS) + 1


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a length of time falls into."""
    return bisect_left(BOUNDS, seconds)


def _empty() -> list[int]:
    return [0] * BUCKETS


@dataclass(slots=True)
class Tally:
    """Jobs that ended, by the buckets of how long they ran and had waited, from due to started."""

    jobs: int = 0
    runs: list[int] = field(default_factory=_empty)
    waits: list[int] = field(default_factory=_empty)

    def add(self, other: Tally) -> None:
        """Add the jobs of another one."""
        self.jobs += other.jobs
        self.runs = list(map(add, self.runs, other.runs))
        self.waits = list(map(add, self.waits, other.waits))


def percentile(buckets: Sequence[int], share: float) -> float | None:
    """The seconds within which that share (0 to 1) of what was counted ended; None of nothing.

    Within a bucket it is taken to be spread evenly. Above the last bound it is that bound.
    """
    return percentiles(buckets, (share,))[0]


def percentiles(buckets: Sequence[int], shares: Sequence[float]) -> list[float | None]:
    """The same of several shares: 90 days by hour ask 4,000 times, mostly what they asked before."""
    return list(_percentiles(tuple(buckets), tuple(shares)))


@lru_cache(maxsize=8192)
def _percentiles(buckets: tuple[int, ...], shares: tuple[float, ...]) -> tuple[float | None, ...]:
    sums = list(accumulate(buckets))
    if not sums or not sums[-1]:
        return (None,) * len(shares)
    return tuple(_reached(sums, share * sums[-1]) if share else None for share in shares)


def _reached(sums: Sequence[int], wanted: float) -> float:
    place = bisect_left(sums, wanted)
    if place >= len(BOUNDS):
        return BOUNDS[-1]
    before, lower = (sums[place - 1], BOUNDS[place - 1]) if place else (0, 0.0)
    return lower + (BOUNDS[place] - lower) * (wanted - before) / (sums[place] - before)
