"""The page that moves a delayed job to another time, in a zone that is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from jobqueue.admin.asked import consequences, refusal_of
from jobqueue.admin.listing import listed, prepare
from jobqueue.admin.moments import (
    YEARS,
    ComesTwice,
    IsLeftOut,
    as_field,
    parse_moment,
    typed_moment,
    zone_named,
    zones,
)
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.reasons import reason_of
from jobqueue.admin.words import time_tag
from jobqueue.exceptions import AlreadyAtThatTime, InvalidRunAt, JobMoveRefused, JobTransitionRefused
from jobqueue.models import Job
from jobqueue.moving import why_not
from jobqueue.operating.kinds import bounds_of_moves
from jobqueue.operating.moves import move_and_log
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import absolute
from jobqueue.sql.clock import about_now, database_now


@dataclass(slots=True)
class Answer:
    """What an operator filled in, and what is wrong with it, by the names of the fields."""

    seen: datetime
    moment: datetime | None = None
    reason: str = ""
    problems: dict[str, str] = field(default_factory=dict)


def urls_of(pages: FramedNotFound) -> list[URLPattern]:
    """The address of the page, below the page of the job."""

    def move(request: HttpRequest, object_id: str) -> HttpResponse:
        demand(request, *permissions_of(Right.MOVE))
        job = pages.get_object(request, object_id)
        if job is None:
            pages.raise_not_found(object_id)
        return _move(pages, request, job)

    return [path("<str:object_id>/move/", pages.admin_site.admin_view(move), name="jobqueue_job_move")]


def move_url(job: Job, now: datetime, request: HttpRequest, pages: ModelAdmin[Any]) -> str:
    """Where the job is moved; empty if it is not delayed, or this user may not."""
    if why_not(job, now) or not may(request, Right.MOVE):
        return ""
    return reverse(f"{pages.admin_site.name}:jobqueue_job_move", args=[job.pk])


def _move(pages: ModelAdmin[Any], request: HttpRequest, job: Job) -> HttpResponse:
    refusal = why_not(job, database_now(Job.objects.db))
    if refusal:
        return _back(pages, request, job, refusal_of(refusal, request), messages.WARNING)
    answer = Answer(job.run_at)
    if request.method == "POST":
        answer = _answer(request, job)
        if not answer.problems and _make(request, job, answer):
            done = _("Job #%(number)s runs %(when)s.") % {"number": job.pk, "when": absolute(job.run_at)}
            return _back(pages, request, job, done, messages.SUCCESS)
    return _ask(pages, request, job, answer)


def _answer(request: HttpRequest, job: Job) -> Answer:
    words = request.POST
    answer = Answer(parse_moment(words.get("seen", "")) or job.run_at)
    zone = zone_named(words.get("zone", ""))
    try:
        answer.moment = typed_moment(words.get("to", ""), zone, answer.seen)
    except ComesTwice as error:
        answer.problems["to"] = f"{error} {_('Choose the zone UTC to say which is meant.')}"
    except IsLeftOut as error:
        answer.problems["to"] = f"{error} {_('Choose a time outside that hour.')}"
    answer.reason, trouble = reason_of(request)
    if trouble:
        answer.problems["reason"] = trouble
    if answer.moment is None and "to" not in answer.problems:
        text = _("A date and a time that the zone has, such as 2026-01-31T09:00, before the year %(year)s.")
        answer.problems["to"] = text % {"year": YEARS.stop}
    return answer


def _make(request: HttpRequest, job: Job, answer: Answer) -> bool:
    """Move it. False if that was refused, and the answer says why."""
    assert answer.moment is not None
    try:
        move_and_log(job, request, answer.moment, seen=answer.seen, reason=answer.reason)
    except (InvalidRunAt, JobMoveRefused, AlreadyAtThatTime) as error:
        answer.problems["to"] = refusal_of(error, request)
    except JobTransitionRefused as error:
        answer.problems["all"] = refusal_of(error, request)
    return not answer.problems


def _ask(pages: ModelAdmin[Any], request: HttpRequest, job: Job, answer: Answer) -> HttpResponse:
    prepare([job], request, pages.admin_site)
    words = request.POST
    context = {
        **pages.admin_site.each_context(request),
        "title": _("Move job #%(number)s") % {"number": job.pk},
        "opts": pages.opts,
        "media": pages.media,
        "job": job,
        "subject": listed(job).subject,
        "when": time_tag(job.run_at, about_now()),
        **consequences(job, request),
        "bounds": bounds_of_moves([job.processor]),
        "to": words.get("to", as_field(job.run_at))[:40],
        "zones": zones(),
        "zone": words.get("zone", timezone.get_current_timezone_name()),
        "reason": answer.reason,
        "seen": job.run_at.isoformat(),
        "problems": answer.problems,
        "back_url": _job_url(pages, job),
    }
    return TemplateResponse(request, "admin/jobqueue/move_job.html", context)


def _back(
    pages: ModelAdmin[Any], request: HttpRequest, job: Job, text: str, level: int
) -> HttpResponseRedirect:
    pages.message_user(request, text, level)
    return HttpResponseRedirect(_job_url(pages, job))


def _job_url(pages: ModelAdmin[Any], job: Job) -> str:
    return reverse(f"{pages.admin_site.name}:jobqueue_job_change", args=[job.pk])
