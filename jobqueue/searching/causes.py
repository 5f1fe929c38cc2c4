"""The errors by which jobs failed and that have what was looked for in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

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


def causes_with(texts: Sequence[str], user: MaySee, most: int) -> list[FoundCause]:
    """The most frequent errors of the newest failed jobs that have every one of the texts in them."""
    may_read = user.has_perm(VIEW_PAYLOAD)
    failed, _is_cut = newest(Job.objects.failed(), has_index=True)
    rows = failed.filter(*(says("reason", text, may_read=may_read) for text in texts)).order_by()
    try:
        groups = _grouped(rows, "reason", most)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        groups = _grouped(rows.annotate(reason_text=AsText("reason")), "reason_text", most)
    return [FoundCause(as_text(reason), jobs) for reason, jobs in groups]


def _grouped(rows: QuerySet[Any], column: str, most: int) -> list[tuple[Any, int]]:
    groups = rows.values(column).annotate(jobs=Count("pk")).order_by("-jobs", column)
    return list(groups.values_list(column, "jobs")[:most])
