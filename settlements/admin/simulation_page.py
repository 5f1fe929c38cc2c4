"""The page that tries the reminder policy, or another one, for 30 days on the real rows."""

from __future__ import annotations

from datetime import date
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
from settlements.models import ReminderType, Settlement
from settlements.operating.tried_policy import TRIED, in_days, tried
from settlements.simulation import MOST, SimulatedDay, extent, simulate

DAYS = 30
_LABELS = {
    "follow_up": gettext_lazy("Follow-ups, days after the beginning"),
    "overdue": gettext_lazy("Overdue, days after the due date"),
}
"""What the fields are called on the page."""
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
    asked = {name: request.GET.get(name, "").strip()[:200] for name in TRIED}
    policy, refused = tried(asked)
    problems = [f"{_LABELS[name]}: {allowed}." for name, allowed in refused.items()]
    words = {name: text for name, text in asked.items() if text}
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
        "held": sum(one.held for one in found.days),
        "people": len(set().union(*(one.people for one in found.days))),
        "found": found,
        "extent": extent(using, after),
        "most": grouped(MOST),
        "is_part": bool(after or found.next_key),
        "first_url": f"?{urlencode(words)}" if after else "",
        "next_url": f"?{urlencode(words | {'after': found.next_key})}" if found.next_key else "",
        "zone": policy.time_zone.key,
        "problems": problems,
        "follow_up": asked["follow_up"] or in_days(policy.follow_up_after),
        "overdue": asked["overdue"] or in_days(policy.overdue_after),
    }
    return TemplateResponse(request, "admin/settlements/simulation.html", context)


def _rows(days: list[SimulatedDay], stages: list[str]) -> list[tuple[date, list[int], int, int, int]]:
    """Of each day the letters by stage, all of them, to how many people, and how many more are held."""
    return [
        (
            one.day,
            [one.letters.get(stage, 0) for stage in stages],
            sum(one.letters.values()),
            len(one.people),
            one.held,
        )
        for one in days
    ]
