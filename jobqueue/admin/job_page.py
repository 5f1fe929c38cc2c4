"""The page of one job: why it is where it is, what happened to it, and what can be done to it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobqueue.admin.copy_pages import copies_shown, copy_url
from jobqueue.admin.listing import listed, prepare, state_of
from jobqueue.admin.move_pages import move_url
from jobqueue.admin.panel import kind_of, panel_for
from jobqueue.admin.payloads import shown_attempts, shown_payload
from jobqueue.admin.permissions import JobPermissions
from jobqueue.admin.preview_pages import preview_url
from jobqueue.admin.running_pages import stop_url
from jobqueue.admin.words import badge, time_tag
from jobqueue.models import Job, bulk
from jobqueue.operating.admins_log import entries_of
from jobqueue.operating.explain import Facts, explain, gather
from jobqueue.operating.reading import may_read, shown_text
from jobqueue.operating.words import exact_span


def page_of(job: Job, request: HttpRequest, pages: JobPermissions) -> dict[str, Any]:
    """What the page shows of the job; `pages` knows what this user may do to it."""
    site = pages.admin_site
    prepare([job], request, site)
    facts = gather(job)
    one = Job.objects.filter(pk=job.pk)
    return {
        "title": f"Job #{job.pk}",
        "opts": pages.opts,
        "media": pages.media,
        "original": job,
        "job": job,
        "kind": shown_text(kind_of(job), request),
        "state": badge(state_of(job)),
        "why": shown_text(explain(job, facts), request),
        "subject": listed(job).subject,
        "worker": facts.worker,
        "timeline": _timeline(job, facts),
        "is_masked": not may_read(request),
        "payload": shown_payload(job, request),
        "unique_key": shown_text(job.unique_key or "", request),
        "reason": shown_text(job.reason, request),
        "attempts": shown_attempts(job, request),
        "verbs": [verb for verb in pages.allowed_verbs(request) if verb.eligible(one).exists()],
        "history": [(entry, shown_text(entry.get_change_message(), request)) for entry in entries_of(job)],
        "others": panel_for(job.subject, request, site, without=job.pk) if job.subject else None,
        "bulk_action": bulk.of_job(job, Job.objects.db),
        "move_url": move_url(job, facts.now, request, pages),
        "copy_url": copy_url(job, request, pages),
        **copies_shown(job, pages),
        "stop_url": stop_url(job, request, pages),
        "preview_url": preview_url(job, request, site),
        "checkbox": ACTION_CHECKBOX_NAME,
    }


def _timeline(job: Job, facts: Facts) -> list[tuple[str, SafeString | str, str]]:
    """What happened to the job and what comes next: a label, the time, and how long after the step before."""
    steps = [
        ("Created", job.created_at),
        ("Published", job.published_at),
        ("Started", job.started_at),
        ("Finished", job.finished_at),
    ]
    known = sorted(((label, moment) for label, moment in steps if moment), key=lambda step: step[1])
    if job.state == Job.State.WAITING:
        known.append(("Next run" if job.attempt > 1 else "Runs", job.run_at))
    if job.state == Job.State.ACTIVE and job.deadline_at:
        known.append(("Time limit", job.deadline_at))
    shown = []
    for index, (label, moment) in enumerate(known):
        before = known[index - 1][1] if index else None
        after = f"{exact_span(moment - before)} later" if before and moment >= before else ""
        shown.append((label, time_tag(moment, facts.now), after))
    return shown
