"""Lists that stay quick with a million rows, and what a page of jobs needs to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite
from django.core.paginator import EmptyPage, Page, Paginator
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.http import HttpRequest

from jobqueue.admin.keyed_pages import Part
from jobqueue.admin.subjects import Subject, describe_subjects
from jobqueue.models import Job, JobQuerySet
from jobqueue.operating.words import grouped, state_word
from jobqueue.sql.clock import database_now, shown_then

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

COUNT_LIMIT = 10_000
COUNTED_AMONG = 100_000
# Pages are skipped by reading what is before them: of fifty rows each, these are five million.
_MOST_PAGES = 100_000
# The states whose rows an index has; of the first three the numbers are kept.
INDEXED_STATES = ("waiting", "delayed", "failed", "active", "stuck", "cancelled", "retried")
COUNTED_STATES = ("waiting", "delayed", "failed")


class BoundedCount(int):
    """A number of rows, shown as `10,000+` where counting stopped."""

    stopped: bool = False

    def __str__(self) -> str:
        return f"{grouped(int(self))}+" if self.stopped else grouped(int(self))


def count_up_to_limit(rows: models.QuerySet[Any]) -> BoundedCount:
    """How many rows there are, without reading more than COUNT_LIMIT of them."""
    return bounded(rows.order_by()[: COUNT_LIMIT + 1].count())


def count_among_newest(rows: models.QuerySet[Any], least: int) -> BoundedCount:
    """How many there are among the newest rows of the table, where no index has these alone.

    To count 10,000 that are one of a hundred would read a million. `least` are known to be there.
    """
    highest = rows.model._default_manager.using(rows.db).aggregate(highest=models.Max("pk"))["highest"] or 0
    if highest <= COUNTED_AMONG:
        return count_up_to_limit(rows)
    count = BoundedCount(max(count_up_to_limit(rows.filter(pk__gt=highest - COUNTED_AMONG)), least))
    count.stopped = True
    return count


def bounded(number: int) -> BoundedCount:
    """A number that was counted no further than one more than COUNT_LIMIT."""
    count = BoundedCount(min(number, COUNT_LIMIT))
    count.stopped = number > COUNT_LIMIT
    return count


class BoundedPaginator(_Paginator):
    """Counts, and so pages through, at most COUNT_LIMIT rows: whoever needs others takes a filter."""

    @cached_property
    def count(self) -> BoundedCount:
        """The number of rows, counted no further than COUNT_LIMIT."""
        assert isinstance(self.object_list, models.QuerySet)
        return count_up_to_limit(self.object_list)

    def validate_number(self, number: int | float | str) -> int:
        """A page that there is; behind the last that was counted there may be more."""
        if self.count.stopped and str(number).isdecimal() and self.num_pages < int(number) <= _MOST_PAGES:
            return int(number)
        return super().validate_number(number)

    def page(self, number: int | str) -> Page[Any]:
        """One page."""
        number = self.validate_number(number)
        if number <= self.num_pages:
            return super().page(number)
        first = (number - 1) * self.per_page
        rows = list(self.object_list[first : first + self.per_page])
        if not rows:
            raise EmptyPage(f"there is no page {number}")
        return Page(rows, number, self)


def parts_of_waiting(rows: models.QuerySet[Any]) -> list[Part]:
    """Waiting jobs as querysets that follow each other: indexes have each in its order.

    Such a list costs the same for a hundred jobs and for millions; to sort them would not.
    """
    due = rows.filter(published_at__isnull=True, run_at__lte=Now()).order_by("-run_at", "-id")
    published = rows.filter(published_at__isnull=False).order_by("-published_at", "-id")
    return [part for part in map(Part.of, (due, published)) if part is not None]


@dataclass(frozen=True, slots=True)
class Listed:
    """What a row shows beside its own columns, read once for the whole page."""

    now: datetime
    subject: Subject
    is_stuck: bool


def prepare(jobs: Iterable[Job], request: HttpRequest, site: AdminSite) -> list[Job]:
    """The jobs of one page, each with its `Listed`, at the cost of a few queries in all."""
    rows = list(jobs)
    return _note(rows, describe_subjects({job.subject for job in rows}, request, site))


def prepare_alone(jobs: Iterable[Job], subject: Subject) -> list[Job]:
    """Likewise, of jobs about the record of this very page: nobody has to ask what it is called."""
    rows = list(jobs)
    return _note(rows, {job.subject: subject for job in rows})


def _note(rows: list[Job], subjects: dict[str, Subject]) -> list[Job]:
    now, stuck = _seen_of(rows)
    for job in rows:
        vars(job)["_listed"] = Listed(now, subjects[job.subject], job.pk in stuck)
    return rows


def seen(jobs: JobQuerySet) -> JobQuerySet:
    """These jobs, each with the time at which it was read and whether it was stuck: `prepare` asks less."""
    stuck = Job.objects.using(jobs.db).stuck().filter(pk=OuterRef("pk"))
    return jobs.annotate(seen_at=Now(), seen_stuck=Exists(stuck))


def _seen_of(rows: Sequence[Job]) -> tuple[datetime, set[int]]:
    """The time, and which of the jobs are stuck: with one statement, and none where all rows brought it."""
    brought = {job.pk: vars(job) for job in rows if "seen_at" in vars(job)}
    asked = [job.pk for job in rows if job.state == Job.State.ACTIVE and job.pk not in brought]
    if not asked and not brought:
        return database_now(Job.objects.db), set()
    found = seen(Job.objects.filter(pk__in=asked)).order_by().only("pk") if asked else ()
    known = {job.pk: vars(job) for job in found} | brought
    now = next((shown_then(row["seen_at"]) for row in known.values()), None) or database_now(Job.objects.db)
    return now, {pk for pk, row in known.items() if row["seen_stuck"]}


def listed(job: Job) -> Listed:
    """What `prepare` read for this job."""
    found: Listed = vars(job)["_listed"]
    return found


def state_of(job: Job) -> str:
    """The state word of a prepared job."""
    return state_word(job, listed(job).now, is_stuck=listed(job).is_stuck)
