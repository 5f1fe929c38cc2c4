"""The page that shows a letter before it goes, and the address of its own at which its HTML is served."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings as django_settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin.words import time_tag
from jobqueue.models import Job
from jobqueue.models.holding import due_time
from jobqueue.operating.previews import Departure, Previewed, departure_of, has_preview, preview_of
from jobqueue.operating.reading import VIEW_PAYLOAD, may_read
from jobqueue.operating.retelling import retold_reason
from jobqueue.operating.rights import VIEW_JOB, demand
from jobqueue.operating.words import carried, printable
from jobqueue.sql.clock import about_now

LETTER_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""What the letter may do where it is shown: be looked at, framed by our pages alone."""
_JOB_ID = re.compile(r"-?\d{1,19}", re.ASCII)


def urls_of(pages: ModelAdmin[Any]) -> list[URLPattern]:
    """The addresses of previews, below the page of the job."""
    site = pages.admin_site

    def preview(request: HttpRequest, object_id: str) -> HttpResponse:
        return _preview(pages, request, _job(request, object_id))

    def letter(request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        return _letter(_job(request, object_id), number)

    return [
        path("<str:object_id>/preview/", site.admin_view(preview), name="jobqueue_job_preview"),
        path("<str:object_id>/preview/<int:number>/", site.admin_view(letter), name="jobqueue_job_letter"),
    ]


def preview_url(job: Job, request: HttpRequest, site: AdminSite) -> str:
    """Where the job's letters are shown; empty if it has none, or none that the user may see."""
    may_see = has_preview(job) and may_read(request)
    return reverse(f"{site.name}:jobqueue_job_preview", args=[job.pk]) if may_see else ""


def _job(request: HttpRequest, object_id: str) -> Job:
    """The job, for who may read payloads: letters show addresses. Raises Http404 if it has no preview."""
    demand(request, VIEW_JOB, VIEW_PAYLOAD)
    job = Job.objects.filter(pk=object_id).first() if _JOB_ID.fullmatch(object_id) else None
    if job is None or not has_preview(job):
        text = _("There is no job %(number)s whose letters can be shown before they go.")
        raise Http404(text % {"number": object_id[:20]})
    return job


def _preview(pages: ModelAdmin[Any], request: HttpRequest, job: Job) -> HttpResponse:
    site = pages.admin_site
    context = {
        **site.each_context(request),
        "title": _("Preview of job #%(number)s") % {"number": job.pk},
        "opts": pages.opts,
        "media": pages.media,
        "job": job,
        "letter_language": django_settings.LANGUAGE_CODE,
        **_shown(preview_of(job), job, site),
    }
    return TemplateResponse(request, "admin/jobqueue/preview.html", context)


def _shown(previewed: Previewed, job: Job, site: AdminSite) -> dict[str, Any]:
    of_job = departure_of(job)
    letters = [
        {
            "leaves": _when(letter.leaves or of_job, job),
            "to": printable(letter.to),
            "subject": printable(letter.subject),
            "text": printable(letter.text),
            "skipped": printable(retold_reason(letter.skipped)),
            "waits": time_tag(letter.waits_until, about_now()) if letter.waits_until else "",
            "url": reverse(f"{site.name}:jobqueue_job_letter", args=[job.pk, number]) if letter.html else "",
        }
        for number, letter in enumerate(previewed.letters)
    ]
    return {"letters": letters, "trouble": printable(previewed.trouble)}


def _when(leaves: Departure, job: Job) -> SafeString | str:
    """When the letter leaves, as far as anybody can know it."""
    queues, now, due = ", ".join(leaves.paused), about_now(), due_time(job)
    if job.held_run_at is not None:
        return _("when somebody releases its job")
    if leaves.paused and not leaves.is_known:
        if due <= now:
            return _("when the queue %(queues)s is resumed, which is paused") % {"queues": queues}
        text = _("{moment}, if the queue {queues}, which is paused, is resumed by then")
        return format_html(text, queues=queues, moment=time_tag(due, now))
    if leaves.paused and leaves.at > due:
        text = _("when the pause of the queue {queues} ends, {moment}")
        return format_html(text, queues=queues, moment=time_tag(leaves.at, now))
    return time_tag(leaves.at, now) if due > now else _("now: its job is due")


def _letter(job: Job, number: int) -> HttpResponse:
    """The HTML of one letter, as nothing but a picture: no script, no form, no request goes out from it."""
    letters = preview_of(job).letters
    if number >= len(letters) or not letters[number].html:
        raise Http404(_("Job %(number)s has no such letter.") % {"number": job.pk})
    response = HttpResponse(carried(letters[number].html))
    response["Content-Security-Policy"] = LETTER_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    return response
