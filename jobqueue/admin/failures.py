"""What pages ask about failed jobs, as a selection; and all failed jobs by cause, read once for a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.admin import listing
from jobqueue.admin.failing_times import failing_time
from jobqueue.counts.reading import counts_of_database
from jobqueue.models import Attempt, Job, Selection
from jobqueue.models.failures import FailuresByCause, by_cause

UNRECORDED = "(not recorded)"
_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class Question:
    """Which failed jobs are asked for; `problem` says what of the question cannot be read."""

    selection: Selection
    problem: str = ""

    @property
    def jobs(self) -> Any:
        """The failed jobs that are asked for: none if the question cannot be read."""
        return Job.objects.none() if self.problem else self.selection.of(Job.objects.all())


def question(asked: Mapping[str, str], now: datetime | None = None) -> Question:
    """The failed jobs that the words of an address ask for: cause, queue, processor, age, from, to.

    Ages are told from `now`: when a page was shown, or this moment.
    """
    time = failing_time(asked, Job.objects.db, now)
    words = {name: asked.get(name, "")[:_LONGEST_WORD] for name in ("cause", "queue", "processor")}
    problems = [time.problem] if time.problem else []
    for name, text in words.items():
        if "\x00" in text:
            words[name] = ""
            problems.append(gettext("%(name)s cannot have the character U+0000") % {"name": name})
    return Question(Selection(ended_from=time.begin, ended_to=time.end, **words), "; ".join(problems))


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
