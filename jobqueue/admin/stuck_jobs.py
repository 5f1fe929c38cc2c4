"""The list of stuck jobs, each with the worker that holds it."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from jobqueue.admin.filters import ProcessorFilter, QueueFilter
from jobqueue.admin.job_columns import COLUMNS
from jobqueue.admin.job_lists import LONGEST_RUNNING, JobMenuEntry
from jobqueue.models import JobQuerySet, StuckJob


@admin.register(StuckJob)
class StuckJobAdmin(JobMenuEntry):
    """Active jobs whose worker is gone or which ran past their limit."""

    verbs = ("release", "fail")
    only_state = "stuck"
    ordering = LONGEST_RUNNING
    sortable_by = ("number", "running_for")
    list_display = COLUMNS["stuck"]
    list_filter = (QueueFilter, ProcessorFilter)

    def get_queryset(self, request: HttpRequest) -> JobQuerySet:
        """The stuck jobs."""
        jobs: JobQuerySet = super().get_queryset(request).stuck()  # type: ignore[attr-defined]
        return jobs
