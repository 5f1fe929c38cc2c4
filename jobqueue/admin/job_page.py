"""The page of one job: why it is where it is, what happened to it, and what can be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from jobqueue.admin import live, on_every_page
from jobqueue.admin.calendar_pages import hold_links
from jobqueue.admin.copy_pages import copies_shown, copy_url
from jobqueue.admin.job_read import Besides
from jobqueue.admin.job_runs import runs_of
from jobqueue.admin.job_timeline import Known, latest_attempts, timeline_of
from jobqueue.admin.listing import listed, prepare, state_of
from jobqueue.admin.move_pages import move_url
from jobqueue.admin.panel import kind_of, newest_about, panel_of
from jobqueue.admin.payloads import shown_payload
from jobqueue.admin.permissions import JobPermissions
from jobqueue.admin.preview_pages import preview_url
from jobqueue.admin.results import shown_results
from jobqueue.admin.running_pages import REFRESH_SECONDS, running_facts, stop_url
from jobqueue.admin.words import badge
from jobqueue.models import Attempt, Job, bulk
from jobqueue.operating.audit import history_of
from jobqueue.operating.counted import counts_each
from jobqueue.operating.explain import Facts, explain, gather
from jobqueue.operating.logs import ShownLog, shown_logs
from jobqueue.operating.reading import may_read, shown_text
from jobqueue.operating.retelling import told_reason
from jobqueue.operating.verbs import Verb

_SECONDS: dict[str, int] = {Job.State.ACTIVE: REFRESH_SECONDS}


def page_of(job: Job, besides: Besides, request: HttpRequest, pages: JobPermissions) -> dict[str, Any]:
    """What the page shows of the job; `pages` knows what this user may do to it."""
    site = pages.admin_site
    others = newest_about(job.subject, without=job.pk) if job.subject else []
    prepare([job, *others], request, site)
    attempts, has_earlier = latest_attempts(job) if besides.has_failed else ([], False)
    facts = _facts(job, _error_before(job, attempts), request)
    action = bulk.of_job(job, Job.objects.db)
    history, logs = history_of(job, action)[::-1], _logs_of(job, request) if besides.has_logged else {}
    known = Known(job, facts.now, request, attempts, history, facts.worker, logs, has_earlier)
    return {
        "title": gettext("Job #%(number)s") % {"number": job.pk},
        "opts": pages.opts,
        "media": pages.media,
        "original": job,
        "job": job,
        "kind": shown_text(kind_of(job), request),
        **_state(job, request),
        **_why(job, facts, request, pages),
        "subject": listed(job).subject,
        "worker": facts.worker,
        "timeline": timeline_of(known),
        "results": shown_results(job, facts.now, request),
        "runs": runs_of(job, site),
        "is_masked": not may_read(request),
        "payload": shown_payload(job, request),
        "unique_key": shown_text(job.unique_key or "", request),
        "reason": shown_text(told_reason(job), request),
        "verbs": _possible(besides, pages.allowed_verbs(request)),
        "others": panel_of(others, job.subject, site) if others else None,
        "bulk_action": action,
        "move_url": move_url(job, facts.now, request, pages),
        "copy_url": copy_url(job, request, pages),
        **copies_shown(job, pages, has_copies=besides.has_copies),
        "stop_url": stop_url(job, facts, request, pages),
        "hold_links": hold_links(job, request, site),
        "preview_url": preview_url(job, request, site),
        "checkbox": ACTION_CHECKBOX_NAME,
    }


def _error_before(job: Job, attempts: Sequence[Attempt]) -> str:
    """The class of the error that the run before this one ended with; empty if it ended without one."""
    return attempts[-1].error_class if attempts and attempts[-1].number == job.attempt - 1 else ""


def _facts(job: Job, last_error: str, request: HttpRequest) -> Facts:
    """What else its state depends on; what is decided about its queue, every page has read."""
    seen, decided = listed(job), on_every_page.decided_about(job.queue, request)
    return gather(job, seen.now, is_stuck=seen.is_stuck, last_error=last_error, decided=decided)


def _why(job: Job, facts: Facts, request: HttpRequest, pages: JobPermissions) -> dict[str, str]:
    """What the job waits for, and where the limits of its processor stand, if it waits for those."""
    why = {"why": shown_text(explain(job, facts), request)}
    is_held_back = facts.processor_running is not None or facts.processor_rate is not None
    if is_held_back and request.user.has_perm("jobqueue.view_queue"):
        name = f"{pages.admin_site.name}:jobqueue_processorlimits_change"
        why["limits_url"] = reverse(name, args=[quote(job.processor)])
    return why


def _state(job: Job, request: HttpRequest) -> dict[str, Any]:
    """Its state, how far it is, and how often that is looked at again: what is over may be retried."""
    return {
        "state": badge(state_of(job)),
        "counts_each": counts_each(job),
        "seconds": _SECONDS.get(job.state, live.SECONDS),
        **running_facts(job, request),
    }


def _logs_of(job: Job, request: HttpRequest) -> dict[int, ShownLog]:
    """What its attempts logged, by their number."""
    return {log.number: log for log in shown_logs(job, request)}


def _possible(besides: Besides, verbs: list[Verb]) -> list[Verb]:
    """Those of the verbs that take the job as it is.

    It is held and released on the calendar, which asks for a reason.
    """
    return [verb for verb in verbs if verb.name in besides.possible]
