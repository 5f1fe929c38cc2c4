"""The chart in Redis: what ended in each five minutes, one hash a period, for two days.

A period is the number of its five minutes since the epoch, by the clock of the database where the jobs are
rows: that clock also says when a job ended, so a chart and the lists of jobs agree. In a hash a field is a
group, a JSON list of queue, processor and outcome, and behind it a cell: `n` for the number of jobs, `r3` and
`w3` for those of them in that bucket of the time they ran and waited. `lua/finish.lua` adds to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.tallies import BUCKETS, Tally

PERIOD = 300
"""Seconds of a period."""
KEPT_PERIODS = 48 * 3600 // PERIOD
"""So many periods before this one can be read: two days."""
OTHER = "(other)"
"""The processor of what is not counted by itself: of those that are not registered, and above a number."""
_MOST_FIELDS = 20_000
"""A hash with more was written by somebody else."""


class Group(NamedTuple):
    """What is counted together: an outcome is a status of the metrics."""

    queue: str
    processor: str
    outcome: str


Record = tuple[str, str, str, str]
"""What the script is given of one group: period, group, the group of the rest, cells with amounts."""
Chart = dict[int, dict[Group, Tally]]
"""What ended, by period and group."""


def records_of(tallies: Mapping[tuple[int, Group], Tally]) -> list[Record]:
    """What the script adds to the chart."""
    return [
        (str(period), _text_of(group), _text_of(group._replace(processor=OTHER)), _cells_of(tally))
        for (period, group), tally in tallies.items()
    ]


@lru_cache(maxsize=4096)
def _text_of(group: Group) -> str:
    return json.dumps(group, separators=(",", ":"))


def _cells_of(tally: Tally) -> str:
    cells = [f"n {tally.jobs}"]
    cells += [f"r{bucket} {amount}" for bucket, amount in enumerate(tally.runs) if amount]
    cells += [f"w{bucket} {amount}" for bucket, amount in enumerate(tally.waits) if amount]
    return " ".join(cells)


def read(periods: Iterable[int], purpose: str = "work") -> Chart:
    """What ended in these periods, summed over the Redis servers in use; not to be changed.

    Raises BrokerUnavailable.
    """
    wanted = list(periods)
    chart: Chart = {}
    with as_unavailable():
        for client in clients(purpose):
            for period, groups in _periods_of(client, wanted).items():
                chart[period] = _merged(chart[period], groups) if period in chart else groups
    return chart


def _merged(some: dict[Group, Tally], others: dict[Group, Tally]) -> dict[Group, Tally]:
    sums: dict[Group, Tally] = {}
    for groups in (some, others):
        for group, tally in groups.items():
            sums.setdefault(group, Tally()).add(tally)
    return sums


# What was read before -------------------------------------------------------------------------------


class _Kept(NamedTuple):
    """A period as it was read, and the last batch of outcomes that had been told of it then."""

    told: bytes
    groups: dict[Group, Tally]


_MOST_KEPT = 30_000
"""Tallies of a server that a process keeps, 0.6 kB each: two days of 50 groups."""
_kept: WeakKeyDictionary[Redis, dict[str, _Kept]] = WeakKeyDictionary()


def _periods_of(client: Redis, periods: list[int]) -> dict[int, dict[Group, Tally]]:
    """What ended, by period. Nearly all of two days are over and were read before: only what changed is read.

    To read and add up 288 periods of nine groups took a page 98 ms of processor time.
    """
    kept = _kept.setdefault(client, {})
    told = _told(client, periods)
    known = {
        period: found.groups
        for period in periods
        if told[period] and (found := kept.get(keys.chart(period))) and found.told == told[period]
    }
    for period, fields in _hashes(client, [period for period in periods if period not in known]).items():
        if groups := _groups_in(fields):
            known[period] = groups
            # What was told since is not kept under the older name: both are read again.
            if fields.get(_TOLD) == told[period]:
                kept[keys.chart(period)] = _Kept(told[period], groups)
    if sum(len(one.groups) for one in list(kept.values())) > _MOST_KEPT:  # others may add to it
        kept.clear()
    return known


_TOLD = b"told"


def _told(client: Redis, periods: list[int]) -> dict[int, bytes]:
    """The last batch that was told of each period; empty where there is none, or nothing of ours."""
    with client.pipeline(transaction=False) as pipeline:
        for period in periods:
            pipeline.hget(keys.chart(period), "told")
        answers = pipeline.execute(raise_on_error=False)
    return {
        period: answer if isinstance(answer, bytes) else b""
        for period, answer in zip(periods, answers, strict=True)
    }


# What Redis has -------------------------------------------------------------------------------------


def _hashes(client: Redis, periods: list[int]) -> dict[int, Mapping[bytes, bytes]]:
    """The hash of each period that has one, as far as it is ours."""
    with client.pipeline(transaction=False) as pipeline:
        for period in periods:
            pipeline.hlen(keys.chart(period))
        sizes = pipeline.execute(raise_on_error=False)
    ours = [
        period
        for period, size in zip(periods, sizes, strict=True)
        if isinstance(size, int) and 0 < size <= _MOST_FIELDS
    ]
    with client.pipeline(transaction=False) as pipeline:
        for period in ours:
            pipeline.hgetall(keys.chart(period))
        found = zip(ours, pipeline.execute(raise_on_error=False), strict=True)
    return {period: fields for period, fields in found if not isinstance(fields, ResponseError)}


def _groups_in(fields: Mapping[bytes, bytes]) -> dict[Group, Tally]:
    groups: dict[Group, Tally] = {}
    for name, value in fields.items():
        place = _place(name)
        if place is None or not (amount := _amount(value)):
            continue
        tally = groups.get(place.group) or groups.setdefault(place.group, Tally())
        if place.buckets == "n":
            tally.jobs += amount
        else:
            (tally.runs if place.buckets == "r" else tally.waits)[place.bucket] += amount
    return groups


class _Place(NamedTuple):
    """Where the amount of a field is added: to the number of jobs, or to a bucket of one of two kinds."""

    group: Group
    buckets: str
    bucket: int


@lru_cache(maxsize=16_384)
def _place(name: bytes) -> _Place | None:
    """None for a field that is none of ours."""
    text, end, cell = text_of(name).rpartition("]")
    try:
        parts = json.loads(text + end)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(parts, list) and len(parts) == len(Group._fields)
    if not is_ours or not all(isinstance(part, str) for part in parts):
        return None
    if cell == "n":
        return _Place(Group(*parts), "n", 0)
    number = _bucket(cell[1:]) if cell[:1] in ("r", "w") else None
    return None if number is None else _Place(Group(*parts), cell[:1], number)


def _bucket(text: str) -> int | None:
    is_short = text.isascii() and text.isdecimal() and len(text) <= len(str(BUCKETS))
    return int(text) if is_short and int(text) < BUCKETS else None


def _amount(value: Any) -> int:
    """0 for what is no number of jobs."""
    try:
        amount: float = int(value)
    except ValueError:
        try:
            amount = float(value)
        except ValueError:
            return 0
    return int(amount) if 0 < amount < 1e12 else 0  # no NaN either
