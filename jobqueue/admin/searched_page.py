"""The pages of what a search finds: its rows are looked for once, whatever the page then asks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.core.paginator import Page
from django.db import models

from jobqueue.admin.listing import COUNT_LIMIT, BoundedCount, BoundedPaginator, bounded


class SearchedPaginator(BoundedPaginator):
    """Reads the ids of what is found, at most COUNT_LIMIT, and counts and pages by these.

    Where a search reads 100,000 rows, to count and then to page would read them twice.
    """

    has_looked = True

    @cached_property
    def ids(self) -> list[int]:
        """The ids of the first that are found, in their order."""
        assert isinstance(self.object_list, models.QuerySet)
        return list(self.object_list.values_list("pk", flat=True)[: COUNT_LIMIT + 1])

    @cached_property
    def count(self) -> BoundedCount:
        """How many are found, counted no further than COUNT_LIMIT."""
        return bounded(len(self.ids))

    def page(self, number: int | str) -> Page[Any]:
        """One page, of what is counted."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        return Page(self.rows(self.ids[first : first + self.per_page]), number, self)

    def rows(self, ids: list[int]) -> list[Any]:
        """The rows of these ids that are still there, in this order."""
        assert isinstance(self.object_list, models.QuerySet)
        found = {row.pk: row for row in self.object_list.model._default_manager.filter(pk__in=ids)}
        return [found[pk] for pk in ids if pk in found]
