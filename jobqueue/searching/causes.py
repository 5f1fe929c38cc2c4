"""The errors by which jobs failed and that have what was looked for in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from jobqueue.models import Job
from jobqueue.searching.conditions import newest, says
from jobqueue.searching.query import VIEW_PAYLOAD
from jobqueue.searching.sources import MaySee


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
    groups = rows.values("reason").annotate(jobs=Count("pk")).order_by("-jobs", "reason")
    return [FoundCause(group["reason"], group["jobs"]) for group in groups[:most]]
