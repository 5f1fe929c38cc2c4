"""All failed jobs by cause, read once for a request; and those of one class of error."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from jobqueue.admin import listing, on_every_page
from jobqueue.models import Attempt, Job
from jobqueue.models.failures import FailuresByCause, by_cause

UNRECORDED = "(not recorded)"


def all_by_cause(request: HttpRequest) -> FailuresByCause | None:
    """All failed jobs by cause, for a list that shows them beside itself; read once for a request.

    None where there are more than a list may read: the page of failures by cause groups them all.
    """
    if "_failures_by_cause" not in vars(request):
        are_few = on_every_page.failed(request) <= listing.COUNT_LIMIT
        found = by_cause(Job.objects.failed()) if are_few else None
        vars(request)["_failures_by_cause"] = found
    grouped: FailuresByCause | None = vars(request)["_failures_by_cause"]
    return grouped


def of_error(jobs: QuerySet[Any], error: str) -> QuerySet[Any]:
    """Those of the failures whose last error was of this class, all of them.

    Their cause begins with it; of those that older workers failed their last attempt says it, until they are
    given a cause.
    """
    attempts = Attempt.objects.filter(job=OuterRef("pk"))
    if error == UNRECORDED:
        unrecorded: QuerySet[Any] = jobs.filter(~Exists(attempts))
        return unrecorded
    last = Subquery(attempts.order_by("-number").values("error_class")[:1])
    named = Q(cause=error) | Q(cause__startswith=f"{error}:") | Q(cause__startswith=f"{error} ")
    # Asked last, of those without a cause alone: their attempts are looked up one by one.
    found: QuerySet[Any] = jobs.alias(last_error=last).filter(named | (Q(cause="") & Q(last_error=error)))
    return found
