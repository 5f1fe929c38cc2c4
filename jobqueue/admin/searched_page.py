"""The pages of what a search finds: its rows are looked for once, whatever the page then asks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jobqueue.admin import listing
from jobqueue.admin.keyed_pages import KeyedPages, Place
from jobqueue.admin.listing import BoundedCount, bounded


class FoundPages(KeyedPages):
    """Reads the ids of what is found, at most COUNT_LIMIT, and counts and pages by these.

    Where a search reads 100,000 rows, to count and then to page would read them twice. Only pages behind the
    ids are looked for anew.
    """

    @cached_property
    def ids(self) -> list[int]:
        """The ids of the first that are found, in their order."""
        return list(self.parts[0].rows.values_list("pk", flat=True)[: listing.COUNT_LIMIT + 1])

    @property
    def count(self) -> BoundedCount:
        """How many are found, counted no further than COUNT_LIMIT."""
        return bounded(len(self.ids))

    def found(self, place: Place | None, most: int, *, backwards: bool = False) -> list[tuple[int, Any]]:
        """So many rows behind a place or before it, by the ids where these reach so far."""
        ids = self._known(place, most, backwards=backwards)
        if ids is None:
            return super().found(place, most, backwards=backwards)
        return [(0, row) for row in self._rows(ids)]

    def _known(self, place: Place | None, most: int, *, backwards: bool) -> list[int] | None:
        are_all = len(self.ids) <= listing.COUNT_LIMIT
        if place is None:
            if backwards:
                return self.ids[::-1][:most] if are_all else None
            return self.ids[:most]
        key = place.values[-1]
        if key not in self.ids:
            return None
        at = self.ids.index(key)
        if backwards:
            return self.ids[:at][::-1][:most]
        return self.ids[at + 1 : at + 1 + most] if are_all or at + most < len(self.ids) else None

    def _rows(self, ids: list[int]) -> list[Any]:
        """The rows of these ids that are still there, in this order."""
        part = self.parts[0]
        rows = part.with_keys(part.rows.model._default_manager.filter(pk__in=ids))
        found = {row.pk: row for row in rows}
        return [found[pk] for pk in ids if pk in found]
