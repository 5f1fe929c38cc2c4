"""The page of the charts: throughput, failures, how long jobs wait and run, by queue, processor and span."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import charts
from jobqueue.admin.chart_marks import MOST
from jobqueue.admin.charts import Picture
from jobqueue.admin.moments import parse_moment
from jobqueue.admin.own_pages import OnePage
from jobqueue.admin.words import time_tag
from jobqueue.broker.chart import PERIOD
from jobqueue.charting.folding import HOUR
from jobqueue.charting.reading import DAY, Chosen, Span
from jobqueue.models import Charts
from jobqueue.registry import all_processors
from jobqueue.sql.clock import about_now

SPANS = {
    "day": (_("24 hours"), Span(DAY, PERIOD)),
    "two_days": (_("48 hours"), Span(2 * DAY, PERIOD)),
    "week": (_("7 days by hour"), Span(7 * DAY, HOUR)),
    "quarter": (_("90 days by day"), Span(90 * DAY, DAY)),
    "quarter_by_hour": (_("90 days by hour"), Span(90 * DAY, HOUR)),
}
_FIRST = "day"
_SECONDS = 20
_LONGEST_NAME = 100


@admin.register(Charts)
class ChartsAdmin(OnePage):
    """The charts; there is nothing else to see of their rows."""

    class Media:
        css = {"all": ["jobqueue/charts.css"]}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page. What of its address cannot be understood is as if it were not there."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = _asked(request)
        span, chosen = SPANS[asked["span"]][1], Chosen(asked["queue"], asked["processor"])
        seen = _part_asked_for(request, span, chosen) or charts.picture(span, chosen)
        context = {
            **_choices(asked),
            **_shown(seen),
            **_part(asked, seen),
            "seconds": 0 if _is_over(seen) else _SECONDS,
            **(extra_context or {}),
        }
        return self.page(request, "charts.html", context)


def _part_asked_for(request: HttpRequest, span: Span, chosen: Chosen) -> Picture | None:
    moment = parse_moment(request.GET.get("part", ""))
    begin = None if moment is None else charts.part_of(span, moment)
    return None if begin is None else charts.picture_of_part(span, chosen, begin)


def _asked(request: HttpRequest) -> dict[str, str]:
    span = request.GET.get("span", "")
    names = {name: request.GET.get(name, "") for name in ("queue", "processor")}
    usable = {name: text if _is_name(text) else "" for name, text in names.items()}
    return {"span": span if span in SPANS else _FIRST, **usable}


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and "\x00" not in text


def _choices(asked: dict[str, str]) -> dict[str, Any]:
    others = {name: text for name, text in asked.items() if name != "span" and text}
    return {
        "asked": asked,
        "spans": [
            {"label": label, "query": urlencode({"span": name, **others}), "is_chosen": name == asked["span"]}
            for name, (label, _span) in SPANS.items()
        ],
        "queues": _and_chosen(list(django_settings.RQ_QUEUES), asked["queue"]),
        "processors": _and_chosen([entry.name for entry in all_processors()], asked["processor"]),
    }


def _part(asked: dict[str, str], seen: Picture) -> dict[str, Any]:
    """Which part of a span is shown, and the way back; or how the rows of the table lead to theirs."""
    query = urlencode({name: text for name, text in asked.items() if text})
    if not seen.is_part:
        is_of_hours = seen.span.row > HOUR
        hint = _("A day leads to its hours.") if is_of_hours else _("An hour leads to its 5 minutes.")
        return {"row_query": query, "hint": hint if seen.span.row > seen.span.step else ""}
    begin = seen.columns[0].begin
    return {
        "row_query": query,
        "part": {
            "at": charts.iso(begin),
            "begin": charts.moment(begin),
            "end": charts.moment(charts.end_of(seen)),
            "whole": SPANS[asked["span"]][0],
            "query": query,
        },
    }


def _is_over(seen: Picture) -> bool:
    """Whether nothing of it changes any more."""
    return seen.is_part and charts.end_of(seen) + HOUR < about_now().timestamp()


def _and_chosen(names: list[str], chosen: str) -> list[str]:
    return names if not chosen or chosen in names else [*names, chosen]


def _shown(seen: Picture) -> dict[str, Any]:
    return {
        "figures": [
            (_("Throughput"), charts.ended_figure(seen), charts.legend(*charts.ENDED)),
            (_("Failures"), charts.failures_figure(seen), charts.legend("failed")),
            (_("Wait, from due to started"), charts.waits_figure(seen), charts.legend(*charts.SHARES)),
            (_("Run time"), charts.runs_figure(seen), charts.legend(*charts.SHARES)),
        ],
        "sums": charts.sums(seen),
        "zone": charts.zone_in_words(),
        "rows": charts.table(seen),
        "marks": [(time_tag(one.at, about_now()), one.kind, one.text) for one in reversed(seen.marks.shown)],
        "cut_at": MOST if seen.marks.is_cut else 0,
        "has_redis": seen.has_redis,
        "is_of_redis": seen.span.is_of_redis,
        "is_known": seen.has_redis or not seen.span.is_of_redis,
    }
