"""The calendar: what goes out in the next days, a day's list, and moving or cancelling what is on it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin.calendar import days_ahead, edge_of, kind_keys
from jobqueue.admin.kinds import name_of
from jobqueue.admin.listing import listed, prepare
from jobqueue.admin.moments import YEARS, as_field, parse_moment
from jobqueue.admin.panel import kind_of
from jobqueue.admin.preview_pages import preview_url
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.models import Job, JobQuerySet
from jobqueue.models.scheduled import between, of_kind
from jobqueue.operating.audit import log_change
from jobqueue.operating.concerns import Sum, concerns_of
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.moves import shift_and_log
from jobqueue.operating.words import absolute
from jobqueue.sql.writing import writing

PAGE = 50
MOST_AT_ONCE = 500
_LONGEST_REASON = 500
_PERMISSIONS = {"move": "jobqueue.move_job", "cancel": "jobqueue.cancel_job"}
_SHIFT = re.compile(r"-?[1-9][0-9]{0,2}")
_FURTHEST = 366


@dataclass(frozen=True, slots=True)
class Asked:
    """Which jobs of a day are meant: one, those of a kind, or all."""

    day: date
    processor: str = ""
    kind: str = ""
    job: int | None = None

    @classmethod
    def of(cls, day: str, words: Any) -> Asked:
        """What an address asks for. Raises Http404 if that can be nothing."""
        try:
            chosen = date.fromisoformat(day)
            job = int(words["job"]) if words.get("job") else None
        except ValueError:
            raise Http404("a day is written as 2026-01-31, and a job is a number") from None
        text = words.get("processor", "") + words.get("kind", "")
        if chosen.year not in YEARS or "\x00" in text or (job is not None and abs(job) >= 2**63):
            raise Http404("there is no such day, kind or job")
        return cls(chosen, words.get("processor", ""), words.get("kind", ""), job)

    def jobs(self) -> JobQuerySet:
        """The delayed jobs that are meant, by their time."""
        end = edge_of(self.day + timedelta(days=1))
        jobs = between(edge_of(self.day), end, Job.objects.db)
        if self.job is not None:
            return jobs.filter(pk=self.job)
        return of_kind(jobs, self.processor, self.kind, kind_keys()) if self.processor else jobs

    @property
    def words(self) -> dict[str, str]:
        """What of it stands behind the question mark of an address."""
        words = {"processor": self.processor, "kind": self.kind, "job": self.job or ""}
        return {name: str(text) for name, text in words.items() if text}

    @property
    def name(self) -> str:
        """What is meant, for people."""
        if self.job is not None:
            return _("job #%(number)s") % {"number": self.job}
        return name_of(self.processor, self.kind) if self.processor else _("all jobs of the day")


def urls_of(pages: ModelAdmin[Any]) -> list[URLPattern]:
    """The addresses of the calendar and its days."""
    view = pages.admin_site.admin_view

    def calendar(request: HttpRequest) -> HttpResponse:
        return _calendar(pages, request)

    def day(request: HttpRequest, day: str) -> HttpResponse:
        return _day(pages, request, Asked.of(day, request.GET))

    def change(request: HttpRequest, day: str, verb: str) -> HttpResponse:
        return _change(pages, request, Asked.of(day, request.GET), verb)

    return [
        path("calendar/", view(calendar), name="jobqueue_job_calendar"),
        path("calendar/<str:day>/", view(day), name="jobqueue_job_calendar_day"),
        path("calendar/<str:day>/<str:verb>/", view(change), name="jobqueue_job_calendar_change"),
    ]


def _page(pages: ModelAdmin[Any], request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
    if not request.user.has_perm("jobqueue.view_job"):
        raise PermissionDenied
    return {
        **pages.admin_site.each_context(request),
        "title": title,
        "opts": pages.opts,
        "media": pages.media,
        "zone": timezone.get_current_timezone_name(),
        **more,
    }


# Looking ------------------------------------------------------------------------------------------


def _calendar(pages: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    context = _page(pages, request, _("Calendar"))
    context["days"] = days_ahead(pages.admin_site.name)
    return TemplateResponse(request, "admin/jobqueue/calendar.html", context)


def _day(pages: ModelAdmin[Any], request: HttpRequest, asked: Asked) -> HttpResponse:
    context = _page(pages, request, _("What runs on %(day)s") % {"day": asked.day}, asked=asked)
    after = request.GET.get("after", "")
    jobs = asked.jobs()
    if (moment := parse_moment(after.partition(",")[0])) is not None and after.rpartition(",")[2].isdecimal():
        number = int(after.rpartition(",")[2][:18])
        jobs = jobs.filter(run_at__gte=moment).exclude(run_at=moment, pk__lte=number)
    rows = prepare(jobs[: PAGE + 1], request, pages.admin_site)
    shown = rows[:PAGE]
    last = shown[-1] if len(rows) > PAGE else None
    context["rows"] = [_row(job, asked.day, request, pages) for job in shown]
    context["next"] = (
        urlencode({**asked.words, "after": f"{last.run_at.isoformat()},{last.pk}"}) if last else ""
    )
    context["verbs"] = _links(pages, asked, request) if rows else []
    return TemplateResponse(request, "admin/jobqueue/calendar_day.html", context)


def _row(job: Job, day: date, request: HttpRequest, pages: ModelAdmin[Any]) -> dict[str, Any]:
    return {
        "job": job,
        "time": absolute(job.run_at),
        "what": name_of(job.processor, kind_of(job)),
        "subject": listed(job).subject,
        "preview": preview_url(job, request, pages.admin_site),
        "verbs": _links(pages, Asked(day, job=job.pk), request),
    }


def _links(pages: ModelAdmin[Any], asked: Asked, request: HttpRequest) -> list[tuple[str, str]]:
    """What the user may do to these, and where it is asked."""
    labels = {"move": _("Move …"), "cancel": _("Cancel …")}
    name = f"{pages.admin_site.name}:jobqueue_job_calendar_change"
    return [
        (labels[verb], reverse(name, args=[asked.day.isoformat(), verb], query=asked.words))
        for verb, permission in _PERMISSIONS.items()
        if request.user.has_perm(permission)
    ]


# Changing -----------------------------------------------------------------------------------------


def _change(pages: ModelAdmin[Any], request: HttpRequest, asked: Asked, verb: str) -> HttpResponse:
    if verb not in _PERMISSIONS:
        raise Http404(f"what is on the calendar can be moved or cancelled, not {verb:.20}")
    if not request.user.has_perm(_PERMISSIONS[verb]):
        raise PermissionDenied
    problems: list[str] = []
    if request.method == "POST":
        shift, problems = _answer(request, asked, verb)
        if not problems:
            return _carry_out(pages, request, asked, verb, shift)
    jobs = list(asked.jobs()[: MOST_AT_ONCE + 1])
    if not jobs:
        pages.message_user(request, _("Nothing was changed: nothing of it waits any more."), messages.WARNING)
        return HttpResponseRedirect(_url_of_day(pages, asked))
    label = _("Move") if verb == "move" else _("Cancel")
    context = _page(pages, request, _("Are you sure?"), asked=asked, verb=verb, label=label)
    context |= _consequences(jobs[:MOST_AT_ONCE], request)
    context |= {
        "more": len(jobs) > MOST_AT_ONCE,
        "most": MOST_AT_ONCE,
        "problems": problems,
        "reason": request.POST.get("reason", "")[:_LONGEST_REASON],
        "to": request.POST.get("to", as_field(jobs[0].run_at))[:30],
        "days": request.POST.get("days", "7")[:5],
        "back_url": _url_of_day(pages, asked),
    }
    return TemplateResponse(request, "admin/jobqueue/calendar_change.html", context)


def _consequences(jobs: list[Job], request: HttpRequest) -> dict[str, Any]:
    """What it means, in numbers: how many e-mails to how many people."""
    emails = count_emails(Counter(job.processor for job in jobs))
    concerned = Sum.of(concerns_of({job.subject for job in jobs if job.subject}, request).values())
    return {
        "number": len(jobs),
        "first": absolute(jobs[0].run_at),
        "emails": ngettext("up to %(n)s e-mail", "up to %(n)s e-mails", emails) % {"n": f"{emails:,}"},
        "concerned": concerned.in_words(),
    }


def _answer(request: HttpRequest, asked: Asked, verb: str) -> tuple[timedelta | datetime, list[str]]:
    """By how much or to when, and what is wrong with the answer."""
    problems = []
    reason = request.POST.get("reason", "").strip()
    if not reason or len(reason) > _LONGEST_REASON or "\x00" in reason:
        problems.append(_("Say why, in at most %(most)s characters.") % {"most": _LONGEST_REASON})
    if verb == "cancel":
        return timedelta(0), problems
    if asked.job is not None:
        moment = parse_moment(request.POST.get("to", ""))
        if moment is None:
            problems.append(_("To: a date and a time, such as 2026-01-31T09:00."))
        return moment or timedelta(0), problems
    days = request.POST.get("days", "").strip()
    if not _SHIFT.fullmatch(days) or abs(int(days)) > _FURTHEST:
        problems.append(_("Days: a whole number from -366 to 366, but not 0."))
        return timedelta(0), problems
    return timedelta(days=int(days)), problems


def _carry_out(
    pages: ModelAdmin[Any], request: HttpRequest, asked: Asked, verb: str, shift: timedelta | datetime
) -> HttpResponse:
    """Change each job in a transaction of its own: what its app refuses is left alone and told of."""
    jobs = list(asked.jobs()[: MOST_AT_ONCE + 1])
    # The last ones first where they go later: each neighbour then has made room.
    is_later = isinstance(shift, timedelta) and shift > timedelta(0)
    chosen = sorted(jobs[:MOST_AT_ONCE], key=lambda job: job.run_at, reverse=is_later)
    refused: list[str] = []
    for job in chosen:
        try:
            _change_one(job, verb, shift, request)
        except JobTransitionRefused as error:
            refused.append(f"#{job.pk}: {error}")
    changed = len(chosen) - len(refused)
    done = _("moved") if verb == "move" else _("cancelled")
    if changed:
        text = ngettext("%(n)s job %(done)s.", "%(n)s jobs %(done)s.", changed)
        pages.message_user(request, text % {"n": f"{changed:,}", "done": done}, messages.SUCCESS)
    if refused:
        text = ngettext("%(n)s job was left alone:", "%(n)s jobs were left alone:", len(refused))
        listed_ones = "; ".join(refused[:5]) + ("; …" if len(refused) > 5 else "")
        pages.message_user(request, f"{text % {'n': len(refused)}} {listed_ones}.", messages.WARNING)
    if not chosen:
        pages.message_user(request, _("Nothing was changed: nothing of it waits any more."), messages.WARNING)
    if len(jobs) > MOST_AT_ONCE:
        text = _("More match: one request takes %(most)s. Repeat it to go on.") % {"most": MOST_AT_ONCE}
        pages.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(_url_of_day(pages, asked))


def _change_one(job: Job, verb: str, shift: timedelta | datetime, request: HttpRequest) -> None:
    reason = request.POST["reason"].strip()
    if verb == "move":
        moment = job.run_at + shift if isinstance(shift, timedelta) else shift
        return shift_and_log(job, request, moment, reason=reason)
    before = absolute(job.run_at)
    with writing(Job.objects.db):
        job.cancel(f"cancelled by {request.user.get_username()}: {reason}"[:500])
        log_change(request, job, f"Cancel: delayed until {before} → cancelled. Reason: {reason}")


def _url_of_day(pages: ModelAdmin[Any], asked: Asked) -> str:
    words = {name: text for name, text in asked.words.items() if name != "job"}
    name = f"{pages.admin_site.name}:jobqueue_job_calendar_day"
    return reverse(name, args=[asked.day.isoformat()], query=words)
