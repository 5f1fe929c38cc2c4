"""Failed jobs by cause: the error of their last attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from jobqueue.admin.words import NOTHING, absolute
from jobqueue.models import Attempt, Job
from jobqueue.sql.blame import may_be_of_a_row

UNRECORDED = "(not recorded)"
NEWEST = 3_000


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failed jobs that ended by one error."""

    error: str
    jobs: int
    first: datetime | None
    last: datetime | None

    @property
    def since(self) -> str:
        """When the first of them failed."""
        return absolute(self.first) if self.first else NOTHING

    @property
    def until(self) -> str:
        """When the last of them failed."""
        return absolute(self.last) if self.last else NOTHING


def with_last_error(jobs: QuerySet[Any]) -> QuerySet[Any]:
    """The jobs, each with the error class of its last failed attempt as `last_error`."""
    attempts = Attempt.objects.filter(job=OuterRef("pk")).order_by("-number")
    annotated: QuerySet[Any] = jobs.annotate(last_error=Subquery(attempts.values("error_class")[:1]))
    return annotated


def newest_failures() -> QuerySet[Any]:
    """The ids of the failed jobs that are looked at by cause; older ones follow as these are dealt with."""
    return Job.objects.failed().order_by("-pk").values("pk")[:NEWEST]


def error_groups(request: HttpRequest) -> list[ErrorGroup]:
    """The causes of the newest failures, the most frequent first; read once for a request."""
    seen: list[ErrorGroup] | None = vars(request).get("_error_groups")
    if seen is None:
        seen = sorted(_groups(), key=lambda group: -group.jobs)
        vars(request)["_error_groups"] = seen
    return seen


def _groups() -> Iterator[ErrorGroup]:
    groups = (
        with_last_error(Job.objects.filter(pk__in=newest_failures()))
        .order_by()
        .values("last_error")
        .annotate(jobs=Count("pk"))
    )
    for group in _with_times(groups):
        error = group["last_error"] or UNRECORDED
        yield ErrorGroup(error, group["jobs"], group.get("first"), group.get("last"))


def _with_times(groups: QuerySet[Any]) -> list[dict[str, Any]]:
    try:
        return list(groups.annotate(first=Min("finished_at"), last=Max("finished_at")))
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        return list(groups)
