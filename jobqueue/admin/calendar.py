"""The days of the calendar as its page shows them: what waits for each, and where that is listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from jobqueue.operating.days import DayAhead, KindAhead, days_ahead


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


def shown_days(site_name: str) -> tuple[list[Day], int]:
    """The next 14 days, today first, and how many jobs are held in all."""
    days, held = days_ahead()
    return [_day(one, site_name, is_today=not number) for number, one in enumerate(days)], held


def _day(one: DayAhead, site_name: str, *, is_today: bool) -> Day:
    url = reverse(f"{site_name}:jobqueue_job_calendar_day", args=[one.day.isoformat()])
    kinds = [Kind(kind.name, kind.jobs, f"{url}?{_query(kind)}") for kind in one.kinds]
    return Day(one.day, url, one.jobs, one.held, kinds, _quiet(one), is_today)


def _query(kind: KindAhead) -> str:
    words = {"processor": kind.processor, **({"kind": kind.kind} if kind.kind else {})}
    return urlencode(words)


def _quiet(one: DayAhead) -> list[Quiet]:
    whole = (one.ends - one.begins).total_seconds()
    shown = []
    for begin, until in one.quiet:
        text = f"{timezone.localtime(begin):%H:%M}-{timezone.localtime(until):%H:%M}"
        left = (begin - one.begins).total_seconds() / whole * 100
        shown.append(Quiet(round(left, 2), round((until - begin).total_seconds() / whole * 100, 2), text))
    return shown
