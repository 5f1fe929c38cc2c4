"""Lists of all, failed and stuck jobs, and the page of one job."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.actions import ACTIONS, history_of
from jobqueue.admin.dates import date_links
from jobqueue.admin.explain import Facts, explain, gather
from jobqueue.admin.failures import NEWEST, error_groups
from jobqueue.admin.filters import AgeFilter, ErrorFilter, ProcessorFilter, QueueFilter, StateFilter
from jobqueue.admin.listing import (
    COUNTED_STATES,
    BoundedPaginator,
    JobChangeList,
    listed,
    page_by_index,
    prepare,
    state_of,
)
from jobqueue.admin.panel import kind_of, panel_for
from jobqueue.admin.search import search_jobs
from jobqueue.admin.verbs import VERBS, Verb
from jobqueue.admin.words import NOTHING, badge, exact_span, mask_addresses, span, time_tag
from jobqueue.models import FailedJob, Job, JobQuerySet, StuckJob, Worker

if TYPE_CHECKING:
    JobModelAdmin = admin.ModelAdmin[Job]
else:
    JobModelAdmin = admin.ModelAdmin

_NAME_PARTS = re.compile(r"[^._]*[._]?")
_JOB_ID = re.compile(r"\d{1,18}", re.ASCII)


class JobAdminBase(JobModelAdmin):
    """What every list of jobs has: nothing is edited, everything goes through the verbs."""

    verbs: tuple[str, ...] = tuple(VERBS)
    has_state_filter = False
    only_state = ""
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    sortable_by = ("number",)
    search_fields = ("id",)
    search_help_text = _(
        "Job id, record (its id, its name, or a subject such as settlements.settlement:…), or processor."
    )

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    # Permissions ----------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are enqueued by code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Jobs change by their verbs only."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One permission for all lists of jobs."""
        return request.user.has_perm("jobqueue.view_job")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A job that runs is not deleted under its worker's hands."""
        allowed = request.user.has_perm("jobqueue.delete_job")
        return allowed and (obj is None or obj.state != Job.State.ACTIVE)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this user may retry jobs."""
        return request.user.has_perm("jobqueue.retry_job")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether this user may cancel jobs."""
        return request.user.has_perm("jobqueue.cancel_job")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether this user may run delayed jobs now."""
        return request.user.has_perm("jobqueue.run_job")

    def has_clear_permission(self, request: HttpRequest) -> bool:
        """Whether this user may clear stuck jobs."""
        return request.user.has_perm("jobqueue.clear_job")

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Whether this user may do that to jobs."""
        return bool(getattr(self, f"has_{verb.permission}_permission")(request))

    def allowed_verbs(self, request: HttpRequest) -> list[Verb]:
        """What this user may do to the jobs of this list."""
        return [VERBS[name] for name in self.verbs if self.may(request, VERBS[name])]

    # The list -------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs this user may use."""
        return {
            verb.name: (ACTIONS[verb.name], verb.name, f"{verb.label} …")
            for verb in self.allowed_verbs(request)
        }

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        """The list that reads what its rows show in a few queries."""
        return JobChangeList

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> BoundedPaginator:
        """Where only a state and perhaps a queue are chosen, nothing has to be counted."""
        paginator = super().get_paginator(request, *args, **kwargs)
        assert isinstance(paginator, BoundedPaginator)
        chosen = request.GET.dict()
        chosen.pop(PAGE_VAR, None)
        state = chosen.pop("state", "") if self.has_state_filter else self.only_state
        queue = chosen.pop("queue", "")
        if state in COUNTED_STATES and not chosen:
            page_by_index(paginator, state, queue)
        return paginator

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by lookups that an index answers."""
        if not search_term.strip():
            return queryset, False
        return search_jobs(queryset, search_term, request, self.admin_site), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; an action that the user may not use is refused aloud."""
        if request.method == "POST":
            self._check_post(request)
        verbs = self.allowed_verbs(request)
        state = request.GET.get("state") if self.has_state_filter else None
        context = {
            "title": capfirst(self.opts.verbose_name_plural),
            "all_matching": {
                "verbs": [verb for verb in verbs if not state or state in verb.states],
                "open": bool(state) or not self.has_state_filter,
            },
            **(extra_context or {}),
        }
        response = super().changelist_view(request, context)
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            self.add_to_list(request, response.context_data or {})
        return response

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """More of what the page of the list shows."""
        if self.date_hierarchy:
            context["dates"] = date_links(context["cl"], self.date_hierarchy)

    def _check_post(self, request: HttpRequest) -> None:
        asked = [VERBS[name] for name in request.POST.getlist("action") if name in VERBS]
        if not all(self.may(request, verb) for verb in asked):
            raise PermissionDenied
        if not all(_JOB_ID.fullmatch(pk) for pk in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("a job id is a number")

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description=_("job"), ordering="id")
    def number(self, job: Job) -> str:
        """The job's id."""
        return f"#{job.pk}"

    @admin.display(description=_("processor"))
    def shown_processor(self, job: Job) -> SafeString:
        """The processor's name, with places where a narrow column may break it."""
        parts = ((part,) for part in _NAME_PARTS.findall(job.processor))
        return format_html_join(mark_safe("<wbr>"), "{}", parts)

    @admin.display(description=_("state"))
    def shown_state(self, job: Job) -> SafeString:
        """The state in colour and in words."""
        return badge(state_of(job))

    @admin.display(description=_("about"))
    def about(self, job: Job) -> SafeString | str:
        """The record the job is about."""
        return listed(job).subject.as_html()

    @admin.display(description=_("runs"))
    def runs(self, job: Job) -> SafeString | str:
        """When the job runs, or was to run."""
        return time_tag(job.run_at, listed(job).now)

    @admin.display(description=_("reason"), empty_value="")
    def shown_reason(self, job: Job) -> SafeString | str:
        """Why the job is in its state, without addresses."""
        return (
            format_html('<span class="jq-reason">{}</span>', mask_addresses(job.reason)) if job.reason else ""
        )


# Not by id where few rows of the table are in that state: SQLite would read them all in that order.
_LONGEST_RUNNING = ("started_at", "id")
_ORDERING = {"delayed": ("run_at", "id"), "active": _LONGEST_RUNNING, "stuck": _LONGEST_RUNNING}


@admin.register(Job)
class JobAdmin(JobAdminBase):
    """All jobs, and the page of each."""

    list_display = (
        "number", "shown_processor", "queue", "shown_state", "about", "runs", "attempt", "shown_reason",
    )  # fmt: skip
    list_filter = (StateFilter, QueueFilter, ProcessorFilter, AgeFilter)
    has_state_filter = True
    date_hierarchy = "created_at"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; of the delayed ones the next to run, of the active ones the longest running."""
        return _ORDERING.get(request.GET.get("state", ""), ("-id",))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one job."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = Job.objects.filter(pk=object_id).first() if _JOB_ID.fullmatch(object_id) else None
        if job is None:
            self.message_user(
                request, f"There is no job {object_id}: perhaps it was deleted.", messages.WARNING
            )
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:jobqueue_job_changelist"))
        prepare([job], request, self.admin_site)
        context = {
            **self.admin_site.each_context(request),
            **self._page(request, job),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/jobqueue/job.html", context)

    def _page(self, request: HttpRequest, job: Job) -> dict[str, Any]:
        facts = gather(job)
        one = Job.objects.filter(pk=job.pk)
        return {
            "title": f"Job #{job.pk}",
            "opts": self.opts,
            "media": self.media,
            "original": job,
            "job": job,
            "kind": kind_of(job),
            "state": badge(state_of(job)),
            "why": explain(job, facts),
            "subject": listed(job).subject.as_html(),
            "worker": facts.worker,
            "timeline": _timeline(job, facts),
            "payload": json.dumps(job.payload, indent=2, ensure_ascii=False, sort_keys=True),
            "attempts": job.attempts.order_by("-number"),
            "verbs": [verb for verb in self.allowed_verbs(request) if verb.eligible(one).exists()],
            "history": history_of(job),
            "others": panel_for(job.subject, request, self.admin_site, without=job.pk)
            if job.subject
            else None,
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


class _ViewOfJobs(JobAdminBase):
    """A menu entry of its own for some jobs. Their pages are those of the job."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of the job."""
        name = f"{self.admin_site.name}:jobqueue_job_change"
        return HttpResponseRedirect(reverse(name, args=[unquote(object_id)]))


@admin.register(FailedJob)
class FailedJobAdmin(_ViewOfJobs):
    """Failed jobs, grouped by the error of their last attempt."""

    verbs = ("retry", "delete")
    only_state = "failed"
    list_display = ("number", "shown_processor", "queue", "about", "error", "failed_at", "attempt")
    list_filter = (ErrorFilter, QueueFilter, ProcessorFilter, AgeFilter)

    def get_queryset(self, request: HttpRequest) -> JobQuerySet:
        """The failed jobs."""
        jobs: JobQuerySet = super().get_queryset(request).failed()  # type: ignore[attr-defined]
        return jobs

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """The failures by cause, while no cause is chosen."""
        super().add_to_list(request, context)
        if not request.GET:
            context["error_groups"] = error_groups(request)
            context["newest_failures"] = NEWEST

    @admin.display(description=_("error"))
    def error(self, job: Job) -> SafeString:
        """Error class and message, without addresses."""
        name, colon, message = mask_addresses(job.reason).partition(": ")
        if not colon or " " in name:
            name, message = "", name + colon + message
        return format_html('<span class="jq-reason"><strong>{}</strong> {}</span>', name, message)

    @admin.display(description=_("failed"))
    def failed_at(self, job: Job) -> SafeString | str:
        """When the job gave up."""
        return time_tag(job.finished_at, listed(job).now)


@admin.register(StuckJob)
class StuckJobAdmin(_ViewOfJobs):
    """Active jobs whose worker is gone or which ran past their limit."""

    verbs = ("release", "fail")
    ordering = _LONGEST_RUNNING
    list_display = (
        "number",
        "processor",
        "queue",
        "about",
        "on_worker",
        "running_for",
        "time_limit",
        "attempt",
    )
    list_filter = (QueueFilter, ProcessorFilter)

    def get_queryset(self, request: HttpRequest) -> JobQuerySet:
        """The stuck jobs."""
        jobs: JobQuerySet = super().get_queryset(request).stuck()  # type: ignore[attr-defined]
        return jobs

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """The workers of the page, read at once: no constraint keeps their rows."""
        super().add_to_list(request, context)
        jobs = context["cl"].result_list
        workers = Worker.objects.in_bulk({job.worker_id for job in jobs if job.worker_id})
        for job in jobs:
            vars(job)["_worker"] = workers.get(job.worker_id)

    @admin.display(description=_("worker"))
    def on_worker(self, job: Job) -> SafeString | str:
        """Who claimed the job, and since when it is silent."""
        worker: Worker | None = vars(job).get("_worker")
        if worker is None:
            return "gone"
        silence = span(listed(job).now - worker.heartbeat_at)
        return format_html("{} <small>last sign of life {} ago</small>", worker.name, silence)

    @admin.display(description=_("running for"))
    def running_for(self, job: Job) -> str:
        """How long ago the job was started."""
        return span(listed(job).now - job.started_at) if job.started_at else NOTHING

    @admin.display(description=_("time limit"))
    def time_limit(self, job: Job) -> str:
        """Seconds the job may take."""
        return f"{job.timeout:.0f} s"
