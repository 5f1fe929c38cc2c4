"""All failed jobs by cause, read once for a request; and those of one class of error."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from jobqueue.admin import listing
from jobqueue.counts.reading import counts_of_database
from jobqueue.models import Attempt, Job
from jobqueue.models.failures import FailuresByCause, by_cause

UNRECORDED = "(not recorded)"
NEWEST = 3_000


def all_by_cause(request: HttpRequest) -> FailuresByCause | None:
    """All failed jobs by cause, for a list that shows them beside itself; read once for a request.

    None where there are more than a list may read: the page of failures by cause groups them all.
    """
    if "_failures_by_cause" not in vars(request):
        failed = sum(counts.failed for counts in counts_of_database(Job.objects.db).values())
        found = by_cause(Job.objects.failed()) if failed <= listing.COUNT_LIMIT else None
        vars(request)["_failures_by_cause"] = found
    grouped: FailuresByCause | None = vars(request)["_failures_by_cause"]
    return grouped


def of_error(jobs: QuerySet[Any], error: str) -> QuerySet[Any]:
    """Those of the newest failures whose last error was of this class.

    Their cause begins with it; of those that older workers failed their last attempt says it.
    """
    attempts = Attempt.objects.filter(job=OuterRef("pk")).order_by("-number")
    newest = Job.objects.failed().order_by("-pk").values("pk")[:NEWEST]
    found: QuerySet[Any] = jobs.filter(pk__in=newest).alias(
        last_error=Subquery(attempts.values("error_class")[:1])
    )
    if error == UNRECORDED:
        return found.filter(last_error__isnull=True)
    named = Q(cause=error) | Q(cause__startswith=f"{error}:") | Q(cause__startswith=f"{error} ")
    return found.filter(named | Q(cause="", last_error=error))
