"""What a chart shows: columns of equal length, from the five minutes in Redis and the hours in the database.

Where both know an hour, the one that counted more jobs of a group is right: Redis may have been emptied, and
the rows are up to five minutes old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from jobqueue.broker.chart import PERIOD, Chart
from jobqueue.broker.tallies import Tally
from jobqueue.charting.folding import HOUR, Hours, by_hour, home
from jobqueue.models import ChartHour
from jobqueue.models.chart import HourKey

DAY = 24 * HOUR
_COUNTED_AS = {
    "completed": "completed",
    "skipped": "completed",
    "retried": "retried",
    "failed": "failed",
    "stopped": "stopped",
}
"""What each outcome counts as; what is skipped is completed too, and its list has it."""
_CHANGING = 3 * DAY
"""For so many seconds the rows of an hour may change still; what is older is read once."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a chart goes, and how long one of its columns is, in seconds."""

    length: int
    step: int

    @property
    def is_of_redis(self) -> bool:
        """Whether only Redis has columns so short."""
        return self.step < HOUR

    @property
    def row(self) -> int:
        """How long one row of its table is, in seconds: many columns are added up there."""
        longest = HOUR if self.step < HOUR else DAY
        return self.step if self.length <= longest else longest


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is charted: all, or what a queue or a processor has."""

    queue: str = ""
    processor: str = ""

    def has(self, queue: str, processor: str) -> bool:
        """Whether jobs of these are charted."""
        return self.queue in ("", queue) and self.processor in ("", processor)


@dataclass(slots=True)
class Column:
    """What ended in one step; `begin` in seconds since the epoch."""

    begin: int
    length: int
    completed: int = 0
    failed: int = 0
    retried: int = 0
    stopped: int = 0
    total: Tally = field(default_factory=Tally)

    def add(self, outcome: str, tally: Tally) -> None:
        """Add the jobs that ended in one way; one that nobody here knows, a later version's, is left out."""
        name = _COUNTED_AS.get(outcome)
        if name is not None:
            setattr(self, name, getattr(self, name) + tally.jobs)
            self.total.add(tally)

    def add_column(self, other: Column) -> None:
        """Add another column."""
        self.completed += other.completed
        self.failed += other.failed
        self.retried += other.retried
        self.stopped += other.stopped
        self.total.add(other.total)


def columns_of(span: Span, now: float, in_redis: Chart, chosen: Chosen) -> list[Column]:
    """The columns of a span that ends now, the oldest first; what nobody knows is 0."""
    last = int(now) // span.step * span.step
    columns = {
        begin: Column(begin, span.step)
        for begin in range(last - span.length + span.step, last + span.step, span.step)
    }
    found = _of_periods(in_redis, chosen) if span.is_of_redis else _of_hours(span, last, in_redis, chosen)
    for begin, column in found.items():
        place = columns.get(begin // span.step * span.step)
        if place is not None:
            place.add_column(column)
    return list(columns.values())


def longer(columns: list[Column], step: int) -> list[Column]:
    """The same in longer columns, without those in which nothing ended."""
    found: dict[int, Column] = {}
    for column in columns:
        if column.total.jobs:
            begin = column.begin // step * step
            found.setdefault(begin, Column(begin, step)).add_column(column)
    return list(found.values())


def _of_periods(chart: Chart, chosen: Chosen) -> dict[int, Column]:
    found = {}
    for period, groups in chart.items():
        column = found[period * PERIOD] = Column(period * PERIOD, PERIOD)
        for group, tally in groups.items():
            if chosen.has(group.queue, group.processor):
                column.add(group.outcome, tally)
    return found


def _of_hours(span: Span, last: int, in_redis: Chart, chosen: Chosen) -> dict[int, Column]:
    """Hours, which may be added up to days."""
    first = last - span.length + span.step
    changing = max(first, (last - _CHANGING) // DAY * DAY)
    hours = _rows(changing, last + span.step)
    for key, tally in by_hour(in_redis).items():
        if int(key.hour.timestamp()) >= changing and (key not in hours or hours[key].jobs < tally.jobs):
            hours[key] = tally
    # From the beginning of a day, which an hour later is the same: what lies before the first is left out.
    begin = last // DAY * DAY - span.length
    settled = _settled_columns(begin, changing, span.step, chosen) if first < changing else ()
    columns = {column.begin: column for column in settled}
    return columns | _columns_of_hours(hours, chosen)


def _columns_of_hours(hours: Mapping[HourKey, Tally], chosen: Chosen) -> dict[int, Column]:
    columns: dict[int, Column] = {}
    for key, tally in hours.items():
        if chosen.has(key.queue, key.processor):
            begin = int(key.hour.timestamp())
            columns.setdefault(begin, Column(begin, HOUR)).add(key.outcome, tally)
    return columns


@lru_cache(maxsize=16)
def _settled_columns(first: int, end: int, step: int, chosen: Chosen) -> tuple[Column, ...]:
    """The columns of hours that no fold changes any more."""
    columns: dict[int, Column] = {}
    for (queue, processor), hours in _settled_hours(first, end).items():
        if chosen.has(queue, processor):
            for hour in hours:
                begin = hour.begin // step * step
                columns.setdefault(begin, Column(begin, step)).add_column(hour)
    return tuple(columns.values())


@lru_cache(maxsize=3)
def _settled_hours(first: int, end: int) -> dict[tuple[str, str], tuple[Column, ...]]:
    """The hours that no fold changes any more, by queue and processor: read once a day, whatever is chosen.

    90 days may be 50,000 rows, which take a second.
    """
    groups: dict[tuple[str, str], Hours] = {}
    for key, tally in _rows(first, end).items():
        groups.setdefault((key.queue, key.processor), {})[key] = tally
    return {names: tuple(_columns_of_hours(hours, Chosen()).values()) for names, hours in groups.items()}


def _rows(first: int, end: int) -> Hours:
    edges = {"hour__gte": datetime.fromtimestamp(first, UTC), "hour__lt": datetime.fromtimestamp(end, UTC)}
    rows = ChartHour.objects.using(home()).filter(**edges)
    found: Hours = {}
    for *key, jobs, runs, waits in rows.order_by().values_list(*HourKey._fields, "jobs", "runs", "waits"):
        if (tally := _tally(jobs, runs, waits)) is not None:
            found[HourKey(*key)] = tally
    return found


def _tally(jobs: object, runs: object, waits: object) -> Tally | None:
    """None of a row that somebody else wrote."""
    empty = Tally()
    fits = isinstance(jobs, int) and all(
        isinstance(buckets, list) and len(buckets) == len(empty.runs) and all(type(n) is int for n in buckets)
        for buckets in (runs, waits)
    )
    return Tally(jobs, runs, waits) if fits else None  # type: ignore[arg-type]
