"""The page that tries the reminder policy, or another one, for 30 days on the real rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobqueue.jobs import database_now
from jobqueue.operating import grouped
from settlements.conf import ReminderPolicy
from settlements.models import ReminderType, Settlement
from settlements.reminders import current_policy
from settlements.simulation import MOST, SimulatedDay, extent, simulate

DAYS = 30
_LABELS = {
    "follow_up": gettext_lazy("Follow-ups, days after the beginning"),
    "overdue": gettext_lazy("Overdue, days after the due date"),
}
"""What the fields are called on the page."""
_MOST_STEPS = 20
_FURTHEST = 365
_LONGEST_KEY = 100


def urls_of(pages: ModelAdmin[Any]) -> list[URLPattern]:
    """The address of the simulation."""

    def simulation(request: HttpRequest) -> HttpResponse:
        if not pages.has_view_permission(request):
            raise PermissionDenied
        return _show(request, pages)

    view = pages.admin_site.admin_view(simulation)
    return [path("simulate/", view, name="settlements_simulation")]


def _show(request: HttpRequest, pages: ModelAdmin[Any]) -> HttpResponse:
    asked = {name: request.GET.get(name, "").strip()[:200] for name in ("follow_up", "overdue")}
    policy, problems = _policy(asked)
    tried = {name: text for name, text in asked.items() if text}
    using = router.db_for_read(Settlement)
    stages = [(stage.value, stage.label) for stage in ReminderType]
    after = request.GET.get("after", "")[:_LONGEST_KEY]
    try:
        found = simulate(policy, now := database_now(using), DAYS, using, after)
    except (ValueError, OverflowError):
        problems.append(_("There is no such page: this is the first."))
        found, after = simulate(policy, now, DAYS, using), ""
    rows = _rows(found.days, [stage for stage, _label in stages])
    context = {
        **pages.admin_site.each_context(request),
        "title": _("Reminders of the next %(days)s days, simulated") % {"days": DAYS},
        "opts": pages.opts,
        "media": pages.media,
        "labels": [label for _stage, label in stages],
        "rows": rows,
        "total": sum(row[2] for row in rows),
        "people": len(set().union(*(one.people for one in found.days))),
        "found": found,
        "extent": extent(using, after),
        "most": grouped(MOST),
        "is_part": bool(after or found.next_key),
        "first_url": f"?{urlencode(tried)}" if after else "",
        "next_url": f"?{urlencode(tried | {'after': found.next_key})}" if found.next_key else "",
        "zone": policy.time_zone.key,
        "problems": problems,
        "follow_up": asked["follow_up"] or _in_days(policy.follow_up_after),
        "overdue": asked["overdue"] or _in_days(policy.overdue_after),
    }
    return TemplateResponse(request, "admin/settlements/simulation.html", context)


def _rows(days: list[SimulatedDay], stages: list[str]) -> list[tuple[date, list[int], int, int]]:
    """Of each day the letters by stage, all of them, and to how many people."""
    return [
        (one.day, [one.letters.get(stage, 0) for stage in stages], sum(one.letters.values()), len(one.people))
        for one in days
    ]


def _policy(asked: dict[str, str]) -> tuple[ReminderPolicy, list[str]]:
    """The policy in force with what is tried in its place, and what is wrong with that."""
    policy, problems = current_policy(), []
    for name, text in asked.items():
        if not text or text == _in_days(getattr(policy, f"{name}_after")):
            continue  # also where that is no whole number of days, which nobody may try
        try:
            changed: dict[str, Any] = {f"{name}_after": _intervals(text)}
            policy = replace(policy, **changed)
        except ValueError:
            allowed = _("whole days from 1 to %(most)s, ascending, such as 3, 7, 14") % {"most": _FURTHEST}
            problems.append(f"{_LABELS[name]}: {allowed}.")
    return policy, problems


def _intervals(text: str) -> tuple[timedelta, ...]:
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) > _MOST_STEPS or not all(1 <= number <= _FURTHEST for number in numbers):
        raise ValueError(text)
    return tuple(timedelta(days=number) for number in numbers)


def _in_days(intervals: tuple[timedelta, ...]) -> str:
    """`3, 7, 14`; what is no whole number of days in seconds, `10 s`."""
    return ", ".join(map(_one_in_days, intervals))


def _one_in_days(interval: timedelta) -> str:
    day = timedelta(days=1)
    return f"{interval.total_seconds():g} s" if interval % day else f"{interval // day}"
