"""The list of failed jobs, by cause."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.failures import all_by_cause
from jobqueue.admin.filters import AgeFilter, CauseFilter, ErrorFilter, ProcessorFilter, QueueFilter
from jobqueue.admin.job_lists import LATEST_ENDED, JobMenuEntry
from jobqueue.admin.listing import listed
from jobqueue.admin.shown_causes import ShownCause
from jobqueue.admin.words import time_tag
from jobqueue.masking import mask_addresses
from jobqueue.models import FailedJob, Job, JobQuerySet, muted_causes
from jobqueue.sql.clock import database_now

_MOST_SHOWN = 10


@admin.register(FailedJob)
class FailedJobAdmin(JobMenuEntry):
    """Failed jobs, each with its error; the most frequent causes above them."""

    verbs = ("retry", "delete")
    only_state = "failed"
    ordering = LATEST_ENDED
    sortable_by = ("number", "failed_at")
    list_display = ("number", "shown_processor", "queue", "about", "error", "failed_at", "attempt")
    list_filter = (CauseFilter, ErrorFilter, QueueFilter, ProcessorFilter, AgeFilter)

    def get_queryset(self, request: HttpRequest) -> JobQuerySet:
        """The failed jobs."""
        jobs: JobQuerySet = super().get_queryset(request).failed()  # type: ignore[attr-defined]
        return jobs

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """The most frequent causes, while nothing is chosen; and the way to all of them."""
        super().add_to_list(request, context)
        context["leads_to_causes"] = True
        found = None if request.GET else all_by_cause(request)
        if found is not None:
            muted = muted_causes(Job.objects.db)
            now = database_now(Job.objects.db)
            causes = [ShownCause(group, now, {}) for group in found.groups if group.cause not in muted]
            context["causes"] = causes[:_MOST_SHOWN]

    @admin.display(description=_("error"))
    def error(self, job: Job) -> SafeString:
        """Error class and message, without addresses."""
        name, colon, message = mask_addresses(job.reason).partition(": ")
        if not colon or " " in name:
            name, message = "", name + colon + message
        return format_html('<span class="jq-reason"><strong>{}</strong> {}</span>', name, message)

    @admin.display(description=_("failed"), ordering="finished_at")
    def failed_at(self, job: Job) -> SafeString | str:
        """When the job gave up."""
        return time_tag(job.finished_at, listed(job).now)
