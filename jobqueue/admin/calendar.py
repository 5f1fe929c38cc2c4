"""The days of the calendar: their edges in the page's zone, what waits for each, and when it is quiet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from jobqueue.admin.kinds import name_of, quiet_periods
from jobqueue.models import Job
from jobqueue.models.scheduled import Slot, by_day, held_by_day
from jobqueue.registry import all_processors
from jobqueue.sql.clock import database_now

DAYS = 14


@dataclass(frozen=True, slots=True)
class Kind:
    """So many jobs of one kind on one day, and where they are listed."""

    name: str
    jobs: int
    url: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """A quiet period as part of a day: where it begins and how long it is, in hundredths of the day."""

    left: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the calendar."""

    day: date
    url: str
    jobs: int
    held: int
    kinds: list[Kind]
    quiet: list[Quiet]
    is_today: bool


def edge_of(day: date) -> datetime:
    """The moment at which a day begins in the page's zone."""
    return timezone.make_aware(datetime.combine(day, time()))


def kind_keys() -> dict[str, str]:
    """By processor the argument that says which kind a job is."""
    return {
        one.name: one.counter.payload_key
        for one in all_processors()
        if one.counter is not None and one.counter.payload_key
    }


def days_ahead(site_name: str) -> tuple[list[Day], int]:
    """The next 14 days, today first, and how many jobs are held in all; read with two statements."""
    using = Job.objects.db
    today = timezone.localdate(database_now(using))
    days = [today + timedelta(days=number) for number in range(DAYS)]
    edges = [edge_of(day) for day in [*days, days[-1] + timedelta(days=1)]]
    slots, held = by_day(edges, kind_keys(), using), held_by_day(edges, using)
    shown = [
        _day(number, day, edges, slots, held.get(number, 0), site_name) for number, day in enumerate(days)
    ]
    return shown, sum(held.values())


def _day(number: int, day: date, edges: list[datetime], slots: list[Slot], held: int, site_name: str) -> Day:
    url = reverse(f"{site_name}:jobqueue_job_calendar_day", args=[day.isoformat()])
    of_day = [slot for slot in slots if slot.day == number]
    counted: Counter[tuple[str, str]] = Counter()
    for slot in of_day:
        counted[slot.processor, slot.kind] += slot.jobs
    kinds = [Kind(name_of(*key), jobs, f"{url}?{_query(*key)}") for key, jobs in counted.most_common()]
    quiet = _quiet(edges[number], edges[number + 1])
    return Day(day, url, sum(counted.values()), held, kinds, quiet, is_today=not number)


def _query(processor: str, kind: str) -> str:
    words = {"processor": processor, **({"kind": kind} if kind else {})}
    return urlencode(words)


def _quiet(first: datetime, end: datetime) -> list[Quiet]:
    whole = (end - first).total_seconds()
    shown = []
    for start, stop in quiet_periods(first, end):
        begin, until = max(start, first), min(stop, end)
        text = f"{timezone.localtime(begin):%H:%M}-{timezone.localtime(until):%H:%M}"
        left = (begin - first).total_seconds() / whole * 100
        shown.append(Quiet(round(left, 2), round((until - begin).total_seconds() / whole * 100, 2), text))
    return shown
