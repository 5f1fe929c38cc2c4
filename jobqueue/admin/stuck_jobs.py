"""The list of stuck jobs, each with the worker that holds it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.filters import ProcessorFilter, QueueFilter
from jobqueue.admin.job_lists import LONGEST_RUNNING, JobMenuEntry
from jobqueue.admin.listing import listed
from jobqueue.admin.words import NOTHING, length_tag, worker_word
from jobqueue.models import Job, JobQuerySet, StuckJob, Worker


@admin.register(StuckJob)
class StuckJobAdmin(JobMenuEntry):
    """Active jobs whose worker is gone or which ran past their limit."""

    verbs = ("release", "fail")
    only_state = "stuck"
    ordering = LONGEST_RUNNING
    sortable_by = ("number", "running_for")
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
            return gettext("gone")
        silence = length_tag(worker.heartbeat_at, listed(job).now)
        said = format_html(gettext("last sign of life %(span)s ago").replace("%(span)s", "{}"), silence)
        return format_html("{} <small>{}</small>", worker_word(worker.name), said)

    @admin.display(description=_("running for"), ordering="started_at")
    def running_for(self, job: Job) -> SafeString | str:
        """How long ago the job was started."""
        return length_tag(job.started_at, listed(job).now) if job.started_at else NOTHING

    @admin.display(description=_("time limit"))
    def time_limit(self, job: Job) -> str:
        """Seconds the job may take."""
        return f"{job.timeout:.0f} s"
