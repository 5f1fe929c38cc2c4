"""The calendar: what goes out in the next days, and a day's list with what is held of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite, ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from jobqueue.admin import calendar_changes, live
from jobqueue.admin.calendar import shown_days
from jobqueue.admin.calendar_asked import asked_by
from jobqueue.admin.keyed_list import Way, ways_of
from jobqueue.admin.keyed_pages import KeyedPage, KeyedPages, Part
from jobqueue.admin.listing import listed, prepare
from jobqueue.admin.panel import kind_of
from jobqueue.admin.preview_pages import preview_url
from jobqueue.admin.words import time_tag
from jobqueue.models import Job, JobQuerySet
from jobqueue.models.holding import due_time
from jobqueue.operating.day_jobs import RIGHTS, OfADay
from jobqueue.operating.days import DAYS
from jobqueue.operating.kinds import is_ever_quiet, meanings_of_quiet_hours, name_of
from jobqueue.operating.previews import skips_of, would_be_skipped
from jobqueue.operating.rights import may
from jobqueue.sql.clock import about_now

PAGE = 50
OF_JOBS, OF_HELD = "p", "held_p"
"""The words of an address that say which page of what runs, and of what is held, is shown."""


def urls_of(pages: ModelAdmin[Any]) -> list[URLPattern]:
    """The addresses of the calendar and its days."""
    view = pages.admin_site.admin_view

    def calendar(request: HttpRequest) -> HttpResponse:
        return _calendar(pages, request)

    def day(request: HttpRequest, day: str) -> HttpResponse:
        return _day(pages, request, asked_by(day, request.GET))

    def change(request: HttpRequest, day: str, verb: str) -> HttpResponse:
        return calendar_changes.change(pages, request, asked_by(day, request.GET), verb)

    return [
        path("calendar/", view(calendar), name="jobqueue_job_calendar"),
        path("calendar/<str:day>/", view(day), name="jobqueue_job_calendar_day"),
        path("calendar/<str:day>/<str:verb>/", view(change), name="jobqueue_job_calendar_change"),
    ]


def _page(pages: ModelAdmin[Any], request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
    if not request.user.has_perm("jobqueue.view_job"):
        raise PermissionDenied
    return calendar_changes.page(pages, request, title, **more)


def _calendar(pages: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    context = _page(pages, request, _("Calendar"))
    context["days"], context["held"] = shown_days(pages.admin_site.name)
    context["is_ever_quiet"], context["quiet_means"] = is_ever_quiet(), meanings_of_quiet_hours()
    context["held_url"] = reverse(f"{pages.admin_site.name}:jobqueue_job_changelist", query={"state": "held"})
    return live.answer(request, TemplateResponse(request, "admin/jobqueue/calendar.html", context))


def _day(pages: ModelAdmin[Any], request: HttpRequest, asked: OfADay) -> HttpResponse:
    context = _page(
        pages, request, _("What runs on %(day)s") % {"day": date_format(asked.day, "D Y-m-d")}, asked=asked
    )
    jobs, held = _keyed(asked.jobs(), request, OF_JOBS), _keyed(asked.held(), request, OF_HELD)
    rows = prepare([*jobs.rows, *held.rows], request, pages.admin_site)
    skips = skips_of(rows)
    shown = [_row(job, asked, request, pages, skips) for job in rows]
    context["rows"], context["held"] = shown[: len(jobs.rows)], shown[len(jobs.rows) :]
    context["ways_of_jobs"] = _ways(jobs, asked, request, OF_JOBS)
    context["ways_of_held"] = _ways(held, asked, request, OF_HELD)
    verbs = [*(("move", "cancel", "hold") if jobs.rows else ()), *(("release",) if held.rows else ())]
    context["verbs"] = _links(pages.admin_site, asked, request, verbs)
    context["ways"] = _beside(pages.admin_site, asked) if asked.job is None else []
    return live.answer(request, TemplateResponse(request, "admin/jobqueue/calendar_day.html", context))


def _keyed(jobs: JobQuerySet, request: HttpRequest, word: str) -> KeyedPage:
    part = Part.of(jobs)
    assert part is not None
    return KeyedPages([part], PAGE).page(request.GET.get(word, ""))


def _ways(page: KeyedPage, asked: OfADay, request: HttpRequest, word: str) -> list[Way]:
    """The ways to the other pages of one of the two lists; the other one stays where it is."""
    places = {name: request.GET[name] for name in (OF_JOBS, OF_HELD) if request.GET.get(name)}

    def address(place: str | None) -> str:
        words = {**asked.words, **places, word: place or ""}
        return "?" + urlencode({name: text for name, text in words.items() if text})

    return list(ways_of(page, (_("Soonest"), _("Sooner"), _("Later"), _("Latest")), address))


def _beside(site: AdminSite, asked: OfADay) -> list[tuple[str, str]]:
    """The days before and after, of the same kind, as far as the calendar shows them.

    Without an end, whoever follows every way of a page would follow them for ever.
    """
    today = timezone.localdate(about_now())
    number = (asked.day - today).days
    ways = ((_("Day before"), number - 1), (_("Day after"), number + 1))
    days = ((label, today + timedelta(days=other)) for label, other in ways if 0 <= other < DAYS)
    return [
        (label, reverse(f"{site.name}:jobqueue_job_calendar_day", args=[str(day)], query=asked.words))
        for label, day in days
    ]


def _row(
    job: Job, asked: OfADay, request: HttpRequest, pages: ModelAdmin[Any], skips: Mapping[int, str]
) -> dict[str, Any]:
    verbs = ("release", "move", "cancel") if job.held_run_at is not None else ("move", "cancel", "hold")
    return {
        "job": job,
        "time": time_tag(due_time(job), about_now()),
        "what": name_of(job.processor, kind_of(job)),
        "skipped": would_be_skipped(skips[job.pk]) if job.pk in skips else "",
        "subject": listed(job).subject,
        "preview": preview_url(job, request, pages.admin_site),
        "verbs": _links(pages.admin_site, OfADay(asked.day, job=job.pk), request, verbs),
    }


def hold_links(job: Job, request: HttpRequest, site: AdminSite) -> list[tuple[str, str]]:
    """The way to hold or release a delayed job, for its own page."""
    if job.state != Job.State.WAITING or (job.held_run_at is None and job.run_at <= listed(job).now):
        return []
    try:
        day = timezone.localtime(due_time(job)).date()
    except (OverflowError, ValueError):  # at the ends of the calendar not every zone has the moment
        return []
    verb = "hold" if job.held_run_at is None else "release"
    return _links(site, OfADay(day, job=job.pk), request, [verb])


def _links(
    site: AdminSite, asked: OfADay, request: HttpRequest, verbs: Iterable[str]
) -> list[tuple[str, str]]:
    """What the user may do to these, and where it is asked."""
    labels = {
        "move": _("Move …"),
        "cancel": _("Cancel …"),
        "hold": _("Hold …"),
        "release": _("Release …"),
    }
    name = f"{site.name}:jobqueue_job_calendar_change"
    return [
        (labels[verb], reverse(name, args=[asked.day.isoformat(), verb], query=asked.words))
        for verb in verbs
        if may(request, RIGHTS[verb])
    ]
