"""The errors by which jobs failed and that have what was looked for in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, TextField, Value, When

from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.tolerant import AsText, as_text


@dataclass(frozen=True, slots=True)
class FoundCause:
    """An error as the failed jobs show it, and how many do."""

    error: str
    jobs: int
    cause: str = ""
    """The cause that is kept with these jobs; empty for those that were written down without one."""


def causes_among(
    failed: QuerySet[Any], wanted: Q, said: Q | None, most: int
) -> tuple[list[FoundCause], bool]:
    """The most frequent errors of those failed jobs that are wanted, and whether there are any such jobs.

    Where `said` is given only those errors are told of which it is true; the others are wanted for more.
    """
    rows = failed.filter(wanted).order_by()
    try:
        groups = _grouped(rows, F("reason"), said, most)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        groups = _grouped(rows, AsText("reason"), said, most)
    found = [
        FoundCause(as_text(cause or reason), jobs, as_text(cause)) for cause, reason, jobs in groups if jobs
    ]
    return found, bool(groups)


def _grouped(rows: QuerySet[Any], reason: Any, said: Q | None, most: int) -> list[tuple[Any, Any, int]]:
    """By cause, and jobs without one by their reason."""
    error = Case(When(cause="", then=reason), default=Value(""), output_field=TextField())
    groups = rows.annotate(error=error).values("cause", "error").annotate(jobs=Count("pk", filter=said))
    return list(groups.order_by("-jobs", "cause", "error").values_list("cause", "error", "jobs")[:most])
