"""Among which rows a search looks for what no index answers: the newest of each table, asked for once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from jobqueue.models import Attempt, Job, JobQuerySet
from jobqueue.searching.conditions import newest


class LookedAt:
    """The newest rows of one database, and whether a search left older ones out."""

    def __init__(self, using: str) -> None:
        self._using = using
        self.is_cut = False

    def newest(self, rows: QuerySet[Any], *, has_index: bool = False) -> QuerySet[Any]:
        """The newest of these rows; `has_index` as for `conditions.newest`."""
        found, is_cut = newest(rows, has_index=has_index)
        self.is_cut |= is_cut
        return found

    @property
    def all_jobs(self) -> JobQuerySet:
        """All jobs."""
        return Job.objects.using(self._using)

    @cached_property
    def newest_jobs(self) -> QuerySet[Any]:
        """The newest of all jobs."""
        return self.newest(self.all_jobs)

    @cached_property
    def attempts(self) -> QuerySet[Attempt]:
        """The newest failed attempts."""
        return self.newest(Attempt.objects.using(self._using)).order_by()
