"""Lists that stay quick with a million rows, and what a page of jobs needs to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.core.paginator import EmptyPage, Page, Paginator
from django.db import models
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from jobqueue.admin.bounded_search import BoundedChangeList
from jobqueue.admin.subjects import Subject, describe_subjects
from jobqueue.counts.reading import QueueCounts, counts_of_database
from jobqueue.models import Job
from jobqueue.operating.words import state_word
from jobqueue.sql.clock import database_now

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

COUNT_LIMIT = 10_000
# Pages are skipped by reading what is before them: of fifty rows each, these are five million.
_MOST_PAGES = 100_000
# The states whose numbers are kept and whose rows an index has.
COUNTED_STATES = ("waiting", "delayed", "failed")


class BoundedCount(int):
    """A number of rows, shown as `10,000+` where counting stopped."""

    stopped: bool = False

    def __str__(self) -> str:
        return f"{int(self):,}+" if self.stopped else f"{int(self):,}"


def count_up_to_limit(rows: models.QuerySet[Any]) -> BoundedCount:
    """How many rows there are, without reading more than COUNT_LIMIT of them."""
    return bounded(rows.order_by()[: COUNT_LIMIT + 1].count())


def bounded(number: int) -> BoundedCount:
    """A number that was counted no further than one more than COUNT_LIMIT."""
    count = BoundedCount(min(number, COUNT_LIMIT))
    count.stopped = number > COUNT_LIMIT
    return count


class BoundedPaginator(_Paginator):
    """Counts, and so pages through, at most COUNT_LIMIT rows: whoever needs others takes a filter."""

    # How many rows there are, where that is known without counting.
    known: int | None = None
    # The same rows as querysets that follow each other, where indexes have these in their order.
    parts: Sequence[models.QuerySet[Any]] = ()
    # Whether the page is to be asked for even where it is the only one: the rows would be looked for again.
    has_looked = False

    @cached_property
    def count(self) -> BoundedCount:
        """The number of rows, counted no further than COUNT_LIMIT."""
        if self.known is not None:
            return bounded(self.known)
        assert isinstance(self.object_list, models.QuerySet)
        return count_up_to_limit(self.object_list)

    def validate_number(self, number: int | float | str) -> int:
        """A page that there is; behind the last that was counted there may be more."""
        if self.count.stopped and str(number).isdecimal() and self.num_pages < int(number) <= _MOST_PAGES:
            return int(number)
        return super().validate_number(number)

    def page(self, number: int | str) -> Page[Any]:
        """One page; with parts only that is read."""
        number = self.validate_number(number)
        if not self.parts and number <= self.num_pages:
            return super().page(number)
        first = (number - 1) * self.per_page
        end = first + self.per_page
        rows = _slice(self.parts, first, end) if self.parts else list(self.object_list[first:end])
        if not rows and number > self.num_pages:
            raise EmptyPage(f"there is no page {number}")
        return Page(rows, number, self)


def _slice(parts: Sequence[models.QuerySet[Any]], first: int, end: int) -> list[Any]:
    rows: list[Any] = []
    for part in parts:
        found = list(part[first:end])
        rows += found
        size = first + len(found) if found or not first else _count_in_order(part, first)
        first, end = max(0, first - size), end - size
        if end <= 0:
            break
    return rows


def _count_in_order(rows: models.QuerySet[Any], most: int) -> int:
    """How many there are, up to `most`; read by the index that has them in their order, as a page is."""
    return rows[:most].count()


def page_by_index(paginator: BoundedPaginator, state: str, queue: str) -> None:
    """Let the paginator of a list of one state use the counts that are kept, and the indexes as they are.

    Such a list costs the same for a hundred jobs and for millions: counting them would not, nor
    would sorting them, and a planner that takes few for many would read the whole table.
    """
    rows = paginator.object_list
    assert isinstance(rows, models.QuerySet)
    counts = counts_of_database(rows.db)
    chosen = [counts.get(queue, QueueCounts())] if queue else counts.values()
    paginator.known = sum(entry.as_dict()[state] for entry in chosen)
    unpublished = rows.filter(published_at__isnull=True)
    if state == "waiting":
        due = unpublished.filter(run_at__lte=Now()).order_by("-run_at", "-id")
        published = rows.filter(published_at__isnull=False).order_by("-published_at", "-id")
        paginator.parts = (due, published)
    elif state == "delayed":
        paginator.parts = (unpublished.order_by("run_at", "id"),)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a row shows beside its own columns, read once for the whole page."""

    now: datetime
    subject: Subject
    is_stuck: bool


def prepare(jobs: Iterable[Job], request: HttpRequest, site: AdminSite) -> list[Job]:
    """The jobs of one page, each with its `Listed`, at the cost of a few queries in all."""
    rows = list(jobs)
    subjects = describe_subjects({job.subject for job in rows}, request, site)
    now = database_now(Job.objects.db)
    active = [job.pk for job in rows if job.state == Job.State.ACTIVE]
    stuck = set(Job.objects.stuck().filter(pk__in=active).values_list("pk", flat=True)) if active else set()
    for job in rows:
        vars(job)["_listed"] = Listed(now, subjects[job.subject], job.pk in stuck)
    return rows


def listed(job: Job) -> Listed:
    """What `prepare` read for this job."""
    found: Listed = vars(job)["_listed"]
    return found


def state_of(job: Job) -> str:
    """The state word of a prepared job."""
    return state_word(job, listed(job).now, is_stuck=listed(job).is_stuck)


class JobChangeList(BoundedChangeList):
    """A list of jobs whose rows lead to the page of the job, also from the lists of failed and stuck ones."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and with it what its rows show; behind the end it is the last one."""
        self._first_of_order = str([*self.model_admin.get_ordering(request), "-id"][0]).lstrip("-")
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
            self.page_num = paginator.num_pages if self.page_num > 1 else 1
            super().get_results(request)
        if self.paginator.has_looked and not self.multi_page:
            self.result_list = self.paginator.page(1).object_list
        self.result_list = prepare(self.result_list, request, self.model_admin.admin_site)

    def get_ordering_field_columns(self) -> Any:
        """The column that the list is really ordered by; none where that is a time of each state."""
        is_by_number = ORDER_VAR in self.params or self._first_of_order in ("id", "pk")
        has_parts = getattr(self.paginator, "parts", ())
        return super().get_ordering_field_columns() if is_by_number and not has_parts else {}

    def url_for_result(self, result: models.Model) -> str:
        """The page of the job."""
        return reverse(f"{self.model_admin.admin_site.name}:jobqueue_job_change", args=[result.pk])
