"""The list of all jobs, and the way to the page of each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from jobqueue.admin import calendar_pages, copy_pages, live, move_pages, preview_pages, running_pages
from jobqueue.admin.filters import (
    AgeFilter,
    EndedFilter,
    ProcessorFilter,
    QueueFilter,
    StateFilter,
    StoppedFilter,
)
from jobqueue.admin.job_columns import COLUMNS, OF_ALL
from jobqueue.admin.job_lists import JOB_ID, LATEST_ENDED, LONGEST_RUNNING, JobList
from jobqueue.admin.job_page import page_of
from jobqueue.admin.job_read import read_job
from jobqueue.admin.named_filters import AuditFilter, FindingFilter, LeftOutFilter
from jobqueue.models import Job
from jobqueue.operating.verbs import BULK_VERBS

_ORDERING = {
    "delayed": ("run_at", "id"),
    "active": LONGEST_RUNNING,
    "stuck": LONGEST_RUNNING,
    "failed": LATEST_ENDED,
    "cancelled": LATEST_ENDED,
}
_TIMES = {
    "delayed": "due",
    "active": "running_for",
    "stuck": "running_for",
    "failed": "failed_at",
    "cancelled": "ended",
}
"""The column of the time by which a list of that state can be sorted: an index has it in that order."""


@admin.register(Job)
class JobAdmin(JobList):
    """All jobs, and the page of each."""

    verbs = tuple(BULK_VERBS)
    list_display = OF_ALL
    list_filter = (
        StateFilter, QueueFilter, ProcessorFilter, AgeFilter, EndedFilter, StoppedFilter, AuditFilter,
        LeftOutFilter, FindingFilter,
    )  # fmt: skip
    has_state_filter = True
    date_hierarchy = "created_at"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; of a state that has a time of its own by that, what is most urgent first."""
        return _ORDERING.get(request.GET.get("state", ""), ("-id",))

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """What an operator asks of jobs in the state that the list is of."""
        return COLUMNS.get(request.GET.get("state", ""), OF_ALL)

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """By what an index has the jobs of that state in order."""
        state = request.GET.get("state", "")
        return ("number", _TIMES[state]) if state in _TIMES else ("number",)

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """With the ways to who runs what now and to the calendar."""
        super().add_to_list(request, context)
        context["running_url"] = reverse(f"{self.admin_site.name}:jobqueue_job_running")
        context["calendar_url"] = reverse(f"{self.admin_site.name}:jobqueue_job_calendar")

    def get_urls(self) -> list[URLPattern]:
        """With the calendar, who runs what now, and what a job's letters would be, below its page."""
        own = (running_pages, preview_pages, copy_pages, move_pages, calendar_pages)
        return [*(url for pages in own for url in pages.urls_of(self)), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one job; while it runs the page says by itself when it has ended."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        read = read_job(object_id) if JOB_ID.fullmatch(object_id) else None
        if read is None:
            self.raise_not_found(object_id)
        page = page_of(*read, request, self)
        context = self.admin_site.each_context(request) | page | (extra_context or {})
        return live.answer(request, TemplateResponse(request, "admin/jobqueue/job.html", context))
