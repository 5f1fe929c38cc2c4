"""The list of failed jobs, by cause."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from jobqueue.admin.failures import all_by_cause
from jobqueue.admin.filters import AgeFilter, CauseFilter, ErrorFilter, ProcessorFilter, QueueFilter
from jobqueue.admin.job_columns import COLUMNS
from jobqueue.admin.job_lists import LATEST_ENDED, JobMenuEntry
from jobqueue.admin.shown_causes import ShownCause
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
    list_display = COLUMNS["failed"]
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
