"""The errors by which jobs failed and that have what was looked for in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, QuerySet, TextField, Value, When

from jobqueue.models import Job
from jobqueue.searching.conditions import newest, says
from jobqueue.searching.query import VIEW_PAYLOAD
from jobqueue.searching.sources import MaySee
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.tolerant import AsText, as_text


@dataclass(frozen=True, slots=True)
class FoundCause:
    """An error as the failed jobs show it, and how many do."""

    error: str
    jobs: int
    cause: str = ""
    """The cause that is kept with these jobs; empty for those that were written down without one."""


def causes_with(
    texts: Sequence[str], user: MaySee, most: int, failed: QuerySet[Any] | None = None
) -> list[FoundCause]:
    """The most frequent errors of the newest failed jobs that have every one of the texts in them.

    `failed` are these jobs, where a search looked them up before: `Found.failed`.
    """
    may_read = user.has_perm(VIEW_PAYLOAD)
    if failed is None:
        failed, _is_cut = newest(Job.objects.failed(), has_index=True)
    rows = failed.filter(*(says("reason", text, may_read=may_read) for text in texts)).order_by()
    try:
        groups = _grouped(rows, F("reason"), most)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        groups = _grouped(rows, AsText("reason"), most)
    return [FoundCause(as_text(cause or reason), jobs, as_text(cause)) for cause, reason, jobs in groups]


def _grouped(rows: QuerySet[Any], reason: Any, most: int) -> list[tuple[Any, Any, int]]:
    """By cause, and jobs without one by their reason."""
    error = Case(When(cause="", then=reason), default=Value(""), output_field=TextField())
    groups = rows.annotate(error=error).values("cause", "error").annotate(jobs=Count("pk"))
    return list(groups.order_by("-jobs", "cause", "error").values_list("cause", "error", "jobs")[:most])
