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
    """What ended in these periods, summed over the Redis servers in use. Raises BrokerUnavailable."""
    wanted = list(periods)
    chart: Chart = {}
    with as_unavailable():
        for client in clients(purpose):
            for period, fields in zip(wanted, _hashes(client, wanted), strict=True):
                if fields:
                    _add(chart.setdefault(period, {}), fields)
    return chart


def _hashes(client: Redis, periods: list[int]) -> list[Any]:
    """The hash of each period; nothing where what stands there is not ours."""
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
        found = dict(zip(ours, pipeline.execute(raise_on_error=False), strict=True))
    return [None if isinstance(hash_ := found.get(period), ResponseError) else hash_ for period in periods]


def _add(groups: dict[Group, Tally], fields: Mapping[Any, Any]) -> None:
    for name, value in fields.items():
        group, cell = _parsed(text_of(name))
        if group is None or not (amount := _amount(value)):
            continue
        tally = groups.setdefault(group, Tally())
        if cell == "n":
            tally.jobs += amount
        elif (buckets := _buckets(tally, cell)) and int(cell[1:]) < BUCKETS:
            buckets[int(cell[1:])] += amount


def _buckets(tally: Tally, cell: str) -> list[int] | None:
    kind, number = cell[:1], cell[1:]
    if not (number.isascii() and number.isdecimal() and len(number) <= len(str(BUCKETS))):
        return None
    return {"r": tally.runs, "w": tally.waits}.get(kind)


@lru_cache(maxsize=16_384)
def _parsed(field: str) -> tuple[Group | None, str]:
    """The group and the cell of a field; no group if it is none of ours."""
    text, end, cell = field.rpartition("]")
    try:
        parts = json.loads(text + end)
    except (ValueError, RecursionError):
        return None, ""
    is_ours = isinstance(parts, list) and len(parts) == len(Group._fields)
    if not is_ours or not all(isinstance(part, str) for part in parts):
        return None, ""
    return Group(*parts), cell


def _amount(value: Any) -> int:
    """0 for what is no number of jobs."""
    try:
        amount = float(value)
    except ValueError:
        return 0
    return int(amount) if 0 < amount < 1e12 else 0  # no NaN either
