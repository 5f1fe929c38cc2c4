"""The page that makes a new job from one that is there, with its payload edited where that may be read."""

from __future__ import annotations

import json
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

from jobqueue.admin.asked import consequences, refusal_of, sentence
from jobqueue.admin.listing import listed, prepare
from jobqueue.admin.moments import YEARS, NotOnce, as_field, typed_moment
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.payloads import shown_payload
from jobqueue.admin.reasons import reason_of
from jobqueue.copying import copies_of
from jobqueue.exceptions import InvalidJob, InvalidPayload, InvalidRunAt, JobCopyRefused, JobMoveRefused
from jobqueue.models import Job, due_time
from jobqueue.models.audit import LONGEST_REASON
from jobqueue.operating.copies import copy_and_log
from jobqueue.operating.reading import VIEW_PAYLOAD, may_read, shown_text
from jobqueue.operating.retelling_failures import retold_failure
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.payloads import trouble_with_json
from jobqueue.sql.clock import database_now

_MOST_DIGITS = 9
_MOST_COPIES = 20


@dataclass(slots=True)
class Answer:
    """What an operator filled in, and what is wrong with it, by the names of the fields."""

    payload: dict[str, Any] | None = None
    run_at: datetime | None = None
    reason: str = ""
    copies_seen: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def urls_of(pages: FramedNotFound) -> list[URLPattern]:
    """The address of the page, below the page of the job."""

    def copy(request: HttpRequest, object_id: str) -> HttpResponse:
        demand(request, *permissions_of(Right.COPY))
        job = pages.get_object(request, object_id)
        if job is None:
            pages.raise_not_found(object_id)
        return _copy(pages, request, job)

    return [path("<str:object_id>/copy/", pages.admin_site.admin_view(copy), name="jobqueue_job_copy")]


def copy_url(job: Job, request: HttpRequest, pages: ModelAdmin[Any]) -> str:
    """Where the job is copied; empty for who may not."""
    if not may(request, Right.COPY):
        return ""
    return reverse(f"{pages.admin_site.name}:jobqueue_job_copy", args=[job.pk])


def copies_shown(job: Job, pages: ModelAdmin[Any], *, has_copies: bool) -> dict[str, Any]:
    """What the page of the job shows of its original and of its newest copies, each with its address.

    Both are asked for with one statement.
    """
    original = job.copied_from
    if original is None and not has_copies:
        return {"original_url": "", "copies": []}
    newest = copies_of(job).order_by("-pk").values("pk")[:_MOST_COPIES]
    asked = Job.objects.filter(pk__in=newest).order_by().values_list("pk", flat=True)
    if original is not None:
        asked = asked.union(Job.objects.filter(pk=original).order_by().values_list("pk", flat=True), all=True)
    urls = {key: _job_url(pages, key) for key in sorted(asked, reverse=True)}
    original_url = urls.pop(original, "") if original is not None else ""
    return {"original_url": original_url, "copies": list(urls.items())}


def _copy(pages: ModelAdmin[Any], request: HttpRequest, job: Job) -> HttpResponse:
    answer = Answer(copies_seen=copies_of(job).count())
    if request.method == "POST":
        answer = _answer(request, job)
        if not answer.problems and (copy := _make(request, job, answer)) is not None:
            text = _("Job #%(number)s was enqueued as a copy of job #%(original)s.")
            pages.message_user(request, text % {"number": copy.pk, "original": job.pk}, messages.SUCCESS)
            return HttpResponseRedirect(_job_url(pages, copy.pk))
    return _ask(pages, request, job, answer)


# What is answered ---------------------------------------------------------------------------------


def _answer(request: HttpRequest, job: Job) -> Answer:
    """What the form says, each field read for itself. Raises PermissionDenied for what is not theirs."""
    words = request.POST
    seen = words.get("seen", "")
    answer = Answer(
        copies_seen=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) <= _MOST_DIGITS else 0,
    )
    answer.reason, trouble = reason_of(request)
    if trouble:
        answer.problems["reason"] = trouble
    if words.get("run_at"):
        try:
            answer.run_at = typed_moment(words["run_at"], shown=due_time(job))
        except NotOnce as error:
            answer.problems["run_at"] = f"{error} {_('Choose a time outside that hour.')}"
        if answer.run_at is None and "run_at" not in answer.problems:
            text = _(
                "A date and a time, such as 2026-01-31T09:00, before the year %(year)s, or nothing for now."
            )
            answer.problems["run_at"] = text % {"year": YEARS.stop}
    if "payload" in words:
        demand(request, VIEW_PAYLOAD)
        try:
            answer.payload = _read_json(words["payload"])
        except InvalidPayload as error:
            answer.problems["payload"] = sentence(str(error))
    return answer


def _read_json(text: str) -> dict[str, Any]:
    """The payload that the text says. Raises InvalidPayload if it is no JSON, or no object."""
    try:
        value = json.loads(text, object_pairs_hook=_each_name_once)
    except InvalidPayload:
        raise
    except json.JSONDecodeError as error:
        place = {"what": retold_failure(error.msg), "line": error.lineno, "column": error.colno}
        said = _("This is no JSON: %(what)s at line %(line)s, column %(column)s") % place
        raise InvalidPayload(said) from None
    except (RecursionError, ValueError) as error:
        what = retold_failure(trouble_with_json(error))
        raise InvalidPayload(_("This is no JSON: %(what)s") % {"what": what}) from None
    if not isinstance(value, dict):
        raise InvalidPayload(_("A payload is an object of arguments, in curly braces, such as {}"))
    return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidPayload(
            _("The name %(name)s stands there twice; each is allowed once") % {"name": twice[:40]}
        )
    return found


def _make(request: HttpRequest, job: Job, answer: Answer) -> Job | None:
    """The copy; None if it was refused, and the answer says why."""
    try:
        return copy_and_log(
            job,
            request,
            payload=answer.payload,
            run_at=answer.run_at,
            copies_seen=answer.copies_seen,
            reason=answer.reason,
        )
    except InvalidPayload as error:
        answer.problems["payload"] = refusal_of(error, request)
    except InvalidRunAt as error:
        answer.problems["run_at"] = refusal_of(error, request)
    except JobCopyRefused as error:
        answer.problems["all"] = refusal_of(error, request)
        answer.copies_seen = copies_of(job).count()
    except (InvalidJob, JobMoveRefused) as error:
        answer.problems["all"] = refusal_of(error, request)
    return None


# What is asked ------------------------------------------------------------------------------------


def _ask(pages: ModelAdmin[Any], request: HttpRequest, job: Job, answer: Answer) -> HttpResponse:
    site, words = pages.admin_site, request.POST
    prepare([job], request, site)
    is_delayed = job.state == Job.State.WAITING and due_time(job) > database_now(Job.objects.db)
    may_edit, payload = may_read(request), shown_payload(job, request)
    context = {
        **site.each_context(request),
        "title": _("Copy job #%(number)s") % {"number": job.pk},
        "opts": pages.opts,
        "media": pages.media,
        "job": job,
        "subject": listed(job).subject,
        "unique_key": shown_text(job.unique_key or "", request),
        **consequences(job, request),
        "may_edit": may_edit,
        "payload": words.get("payload", payload) if may_edit else payload,
        "run_at": words.get("run_at", as_field(due_time(job)) if is_delayed else "")[:40],
        "zone": timezone.get_current_timezone_name(),
        "reason": answer.reason,
        "longest": LONGEST_REASON,
        "seen": answer.copies_seen,
        "problems": answer.problems,
        "back_url": _job_url(pages, job.pk),
    }
    return TemplateResponse(request, "admin/jobqueue/copy_job.html", context)


def _job_url(pages: ModelAdmin[Any], key: int) -> str:
    return reverse(f"{pages.admin_site.name}:jobqueue_job_change", args=[key])
