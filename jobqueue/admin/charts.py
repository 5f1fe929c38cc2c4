"""Charts as pages show them: read within a time, drawn, linked with the lists that they count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from jobqueue.admin.chart_marks import Marks, happened
from jobqueue.admin.filters import STOPPED
from jobqueue.admin.words import state_label
from jobqueue.broker import chart
from jobqueue.broker.chart import PERIOD, Chart
from jobqueue.broker.tallies import percentiles
from jobqueue.charting import drawing
from jobqueue.charting.drawing import Bar, Line, Mark, Tick
from jobqueue.charting.folding import home
from jobqueue.charting.reading import DAY, Chosen, Column, Span, columns_of, longer
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.monitoring.probes import Probe
from jobqueue.operating.words import grouped, grouping, rough_span
from jobqueue.searching import RETRIED
from jobqueue.sql.clock import database_now

PATIENCE = 0.25
"""Seconds that a page waits for a Redis that hangs."""
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
ENDED = ("completed", "retried", "stopped", "failed")
"""How jobs end, from the ground of a bar up."""
_TICKS = 6

_in_redis: Probe[Chart] = Probe("Redis", lambda: chart.read([0], "probe"))


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a span: its columns, what happened in it, and whether Redis told its part."""

    span: Span
    chosen: Chosen
    columns: list[Column]
    marks: Marks
    has_redis: bool
    is_part: bool = False
    """Whether it ends where a part of a longer one does, and not now."""


def picture(span: Span, chosen: Chosen, *, marked: bool = True, shown: datetime | None = None) -> Picture:
    """Read a span that ends now, by the database's clock. A Redis that does not answer fails nothing."""
    now = (shown or database_now(home())).timestamp()
    return _picture(span, chosen, now, marked=marked)


def picture_of_part(span: Span, chosen: Chosen, begin: int) -> Picture:
    """Read one row of a table, in the columns of the span, as a picture of its own."""
    return _picture(Span(span.row, span.step), chosen, begin + span.row - 1, is_part=True)


def part_of(span: Span, moment: datetime) -> int | None:
    """When the row of the span's table begins that has the moment; None if none has, or rows are columns."""
    begin = int(moment.timestamp()) // span.row * span.row
    now = database_now(home()).timestamp()
    return begin if span.row > span.step and now - span.length - span.row < begin <= now else None


def _picture(
    span: Span, chosen: Chosen, now: float, *, marked: bool = True, is_part: bool = False
) -> Picture:
    begin = now - min(span.length, 2 * DAY)
    in_redis = _read(range(int(begin) // PERIOD, int(now) // PERIOD + 1))
    columns = columns_of(span, now, in_redis or {}, chosen)
    first, end = (datetime.fromtimestamp(edge, UTC) for edge in (columns[0].begin, now + 1))
    marks = happened(first, end if is_part else None, chosen) if marked else Marks([])
    return Picture(span, chosen, columns, marks, in_redis is not None, is_part)


def _read(periods: range) -> Chart | None:
    """None where Redis does not answer in time."""
    if not _in_redis.finish(_in_redis.begin(), within=PATIENCE).is_there:
        return None
    try:
        return chart.read(periods, "probe")
    except BrokerUnavailable:
        return None


def chart_of_a_day(request: HttpRequest, now: datetime | None = None) -> SafeString:
    """The small chart of 24 hours for the overview, as HTML; empty for who may not see jobs.

    Needs `jobqueue/charts.css` on the page. `now` is what the database's clock shows; else that is asked,
    the only query. Never raises for a Redis that is away.
    """
    if not request.user.has_perm("jobqueue.view_job"):
        return SafeString("")
    seen = picture(Span(DAY, 2 * PERIOD), Chosen(), marked=False, shown=now)
    context = {
        "shown": ended_figure(seen),
        "has_redis": seen.has_redis,
        "sums": sums(seen),
        "legend": legend(*ENDED),
        "zone": zone_in_words(),
    }
    return SafeString(render_to_string("admin/jobqueue/chart_of_a_day.html", context, request))


def sums(seen: Picture) -> dict[str, str]:
    """How many jobs ended in which way in the whole span."""
    names = ("completed", "failed", "retried", "stopped")
    return {name: grouped(sum(getattr(column, name) for column in seen.columns)) for name in names}


def legend(*kinds: str) -> list[tuple[str, str]]:
    """What the colours of a figure mean."""
    return [(kind, state_label(kind)) for kind in kinds]


def zone_in_words() -> str:
    """Whose times the axes show."""
    return gettext("Times in the zone %(zone)s.") % {"zone": timezone.get_current_timezone_name()}


# Figures ----------------------------------------------------------------------------------------------


def ended_figure(seen: Picture) -> SafeString:
    """Throughput: what completed, was retried, was stopped and failed."""
    return _bars(seen, ENDED)


def failures_figure(seen: Picture) -> SafeString:
    """What failed, apart: beside what completes it would not be seen."""
    return _bars(seen, ("failed",))


def waits_figure(seen: Picture) -> SafeString:
    """How long jobs waited from due to started."""
    return _lines(seen, "waits")


def runs_figure(seen: Picture) -> SafeString:
    """How long jobs ran."""
    return _lines(seen, "runs")


def _bars(seen: Picture, kinds: Sequence[str]) -> SafeString:
    bar = _Bars(kinds, seen.chosen)
    return drawing.bars(
        [bar.of(column) for column in seen.columns], _ticks(seen), _marks(seen), shown=grouped
    )


class _Bars:
    """The bars of one figure. What all of them say alike is looked up once: there may be thousands."""

    def __init__(self, kinds: Sequence[str], chosen: Chosen) -> None:
        self._labels = {kind: state_label(kind) for kind in kinds}
        self._lists = {kind: _LISTS[kind](chosen) for kind in kinds}
        self._in_groups, self._zone = grouping(), timezone.get_current_timezone()

    def of(self, column: Column) -> Bar:
        """What ended in a column."""
        parts = [(kind, getattr(column, kind)) for kind in self._labels if getattr(column, kind)]
        if not parts:
            return Bar((), "")
        words = ", ".join(f"{self._in_groups(amount)} {self._labels[kind]}" for kind, amount in parts)
        urls = {kind: self._lists[kind].of(column) for kind, _amount in parts}
        return Bar(parts, f"{_moment(column.begin, self._zone)}: {words}", urls)


def _lines(seen: Picture, what: str) -> SafeString:
    found = [percentiles(getattr(column.total, what), tuple(SHARES.values())) for column in seen.columns]
    drawn = [Line(name, values) for name, values in zip(SHARES, zip(*found, strict=True), strict=True)]
    return drawing.lines(drawn, _ticks(seen), _marks(seen), shown=rough_span)


def _marks(seen: Picture) -> list[Mark]:
    begin, length = seen.columns[0].begin, len(seen.columns) * seen.span.step
    return [
        Mark((one.at.timestamp() - begin) / length, one.kind, f"{moment(one.at.timestamp())}: {one.text}")
        for one in seen.marks.shown
    ]


def _ticks(seen: Picture) -> list[Tick]:
    number = len(seen.columns)
    shown_as = "H:i" if seen.span.length <= 2 * DAY else "M j"
    places = [number * part // _TICKS for part in range(_TICKS)]
    return [
        Tick(place / number, date_format(_local(seen.columns[place].begin), shown_as)) for place in places
    ] + [Tick(1.0, date_format(_local(end_of(seen)), shown_as) if seen.is_part else gettext("now"))]


# Tables -----------------------------------------------------------------------------------------------


def table(seen: Picture) -> list[dict[str, Any]]:
    """What the figures show, in longer steps where these are very short; the newest first.

    Such a row has the moment of its part, of which a table has each column.
    """
    rows = longer(seen.columns, seen.span.row)
    return [_row(column, seen) for column in reversed(rows)]


def _row(column: Column, seen: Picture) -> dict[str, Any]:
    chosen = seen.chosen
    return {
        "begin": moment(column.begin),
        "part": iso(column.begin) if seen.span.row > seen.span.step else "",
        "completed": grouped(column.completed),
        "completed_url": completed_url(column, chosen) if column.completed else "",
        "failed": grouped(column.failed),
        "failed_url": failed_url(column, chosen) if column.failed else "",
        "retried": grouped(column.retried),
        "retried_url": retried_url(column, chosen) if column.retried else "",
        "stopped": grouped(column.stopped),
        "stopped_url": stopped_url(column, chosen) if column.stopped else "",
        "waits": _shares(column.total.waits),
        "runs": _shares(column.total.runs),
    }


def _shares(buckets: Sequence[int]) -> list[str]:
    return list(map(rough_span, percentiles(buckets, tuple(SHARES.values()))))


# Links and times --------------------------------------------------------------------------------------


class _List:
    """A list of jobs that ended in a time, or were retried; only the time differs from column to column."""

    def __init__(self, name: str, begin: str, end: str, query: dict[str, str]) -> None:
        address = reverse(name)
        self._before = f"{address}?{urlencode(query | {begin: ''})}"
        self._between = f"&{end}="

    def of(self, column: Column) -> str:
        """The address of the list of a column."""
        return f"{self._before}{_quoted(column.begin)}{self._between}{_quoted(column.begin + column.length)}"


def _ended(state: str, chosen: Chosen, **others: str) -> _List:
    query = {"state": state, **others, **_filters(chosen)}
    return _List("admin:jobqueue_job_changelist", "ended_from", "ended_to", query)


def _completed(chosen: Chosen) -> _List:
    return _ended("completed", chosen)


def _stopped(chosen: Chosen) -> _List:
    return _ended("cancelled", chosen, stopped=STOPPED)


def _retried(chosen: Chosen) -> _List:
    return _ended(RETRIED, chosen)


def _failed(chosen: Chosen) -> _List:
    return _List("admin:jobqueue_failedjob_changelist", "from", "to", _filters(chosen))


_LISTS = {"completed": _completed, RETRIED: _retried, "stopped": _stopped, "failed": _failed}


def completed_url(column: Column, chosen: Chosen) -> str:
    """The list of what completed in a column."""
    return _completed(chosen).of(column)


def stopped_url(column: Column, chosen: Chosen) -> str:
    """The list of what was stopped in a column while it ran, without what was cancelled while it waited."""
    return _stopped(chosen).of(column)


def retried_url(column: Column, chosen: Chosen) -> str:
    """The list of the jobs of which an attempt failed in a column and was followed by another."""
    return _retried(chosen).of(column)


def failed_url(column: Column, chosen: Chosen) -> str:
    """The list of what failed in a column and is failed still."""
    return _failed(chosen).of(column)


def _filters(chosen: Chosen) -> dict[str, str]:
    words = {"queue": chosen.queue, "processor": chosen.processor}
    return {name: text for name, text in words.items() if text}


def end_of(seen: Picture) -> int:
    """Where the last column ends."""
    return seen.columns[-1].begin + seen.span.step


def iso(seconds: int) -> str:
    """A time as addresses have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=8192)
def _quoted(seconds: int) -> str:
    return quote_plus(iso(seconds))


def _local(seconds: float) -> datetime:
    return timezone.localtime(datetime.fromtimestamp(seconds, UTC))


def moment(seconds: float) -> str:
    """A time in the current zone, to the minute."""
    return _moment(seconds, timezone.get_current_timezone())


@lru_cache(maxsize=8192)
def _moment(seconds: float, zone: tzinfo) -> str:
    local = datetime.fromtimestamp(seconds, zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"
