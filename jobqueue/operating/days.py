"""The days ahead: their edges in the zone of who asks, what waits for each by kind, and when it is quiet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from jobqueue.models import Job
from jobqueue.models.scheduled import Slot, by_day, held_by_day
from jobqueue.operating.kinds import Period, name_of, quiet_periods
from jobqueue.registry import all_processors
from jobqueue.sql.clock import database_now

DAYS = 14


@dataclass(frozen=True, slots=True)
class KindAhead:
    """So many jobs of one kind on one day."""

    processor: str
    kind: str
    jobs: int

    @property
    def name(self) -> str:
        """What people call them."""
        return name_of(self.processor, self.kind)


@dataclass(frozen=True, slots=True)
class DayAhead:
    """What waits for one day, how many of its jobs are held, and what of it is quiet."""

    day: date
    begins: datetime
    ends: datetime
    held: int
    kinds: list[KindAhead]
    quiet: list[Period]

    @property
    def jobs(self) -> int:
        """How many jobs run on it."""
        return sum(kind.jobs for kind in self.kinds)


def edge_of(day: date) -> datetime:
    """The moment at which a day begins in the zone of who asks."""
    return timezone.make_aware(datetime.combine(day, time()))


def kind_keys() -> dict[str, str]:
    """By processor the argument that says which kind a job is."""
    return {
        one.name: one.counter.payload_key
        for one in all_processors()
        if one.counter is not None and one.counter.payload_key
    }


def days_ahead() -> tuple[list[DayAhead], int]:
    """The next 14 days, today first, and how many jobs are held in all; read with two statements."""
    using = Job.objects.db
    today = timezone.localdate(database_now(using))
    days = [today + timedelta(days=number) for number in range(DAYS)]
    edges = [edge_of(day) for day in [*days, days[-1] + timedelta(days=1)]]
    slots, held = by_day(edges, kind_keys(), using), held_by_day(edges, using)
    ahead = [
        DayAhead(day, first, end, held.get(number, 0), _kinds(slots, number), _quiet(first, end))
        for number, (day, first, end) in enumerate(zip(days, edges, edges[1:], strict=False))
    ]
    return ahead, sum(held.values())


def _kinds(slots: list[Slot], number: int) -> list[KindAhead]:
    counted: Counter[tuple[str, str]] = Counter()
    for slot in slots:
        if slot.day == number:
            counted[slot.processor, slot.kind] += slot.jobs
    return [KindAhead(*key, jobs) for key, jobs in counted.most_common()]


def _quiet(first: datetime, end: datetime) -> list[Period]:
    """The quiet periods of a day, cut at its edges."""
    return [(max(start, first), min(stop, end)) for start, stop in quiet_periods(first, end)]
