"""Lists that stay quick with a million rows, and what a page of jobs needs to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.urls import reverse

from jobqueue.admin.subjects import Subject, describe_subjects
from jobqueue.admin.words import state_word
from jobqueue.models import Job, database_now

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

COUNT_LIMIT = 10_000


class BoundedCount(int):
    """A number of rows, shown as `10,000+` where counting stopped."""

    stopped: bool = False

    def __str__(self) -> str:
        return f"{int(self):,}+" if self.stopped else f"{int(self):,}"


def count_up_to_limit(rows: models.QuerySet[Any]) -> BoundedCount:
    """How many rows there are, without reading more than COUNT_LIMIT of them."""
    counted = rows.order_by()[: COUNT_LIMIT + 1].count()
    count = BoundedCount(min(counted, COUNT_LIMIT))
    count.stopped = counted > COUNT_LIMIT
    return count


class BoundedPaginator(_Paginator):
    """Counts, and so pages through, at most COUNT_LIMIT rows: whoever needs others takes a filter."""

    @cached_property
    def count(self) -> BoundedCount:
        """The number of rows, counted no further than COUNT_LIMIT."""
        assert isinstance(self.object_list, models.QuerySet)
        return count_up_to_limit(self.object_list)


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


class JobChangeList(ChangeList):
    """A list of jobs whose rows lead to the page of the job, also from the lists of failed and stuck ones."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and with it what its rows show."""
        super().get_results(request)
        self.result_list = prepare(self.result_list, request, self.model_admin.admin_site)

    def url_for_result(self, result: models.Model) -> str:
        """The page of the job."""
        return reverse(f"{self.model_admin.admin_site.name}:jobqueue_job_change", args=[result.pk])
