"""Lists that an address narrows by what they offer themselves, and by nothing else.

Django takes any lookup of any column of the table: `?payload__email__startswith=a` would spell out by the
number of rows what the page masks, `?reason__regex=(` fails in the database, and neither has an index.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

_BOUNDS = ("gte", "lt")
_ENDS = (1, 9999)
"""The years in which not every zone has each moment: a database that keeps them in UTC cannot take those."""


class OfferedLookups(ChangeList):
    """A list that takes its own filters and its own dates; for the rest Django says that it is wrong."""

    also_taken: ClassVar[tuple[str, ...]] = ()
    """Columns that an address may name beside the filters, by their whole value."""

    def get_filters(self, request: HttpRequest) -> Any:
        """The filters, if each word of the address belongs to one of them."""
        asked = self.get_filters_params()
        if any(_is_unfit(name, text) for name, texts in asked.items() for text in texts):
            raise IncorrectLookupParameters("no database takes that")
        try:
            found = super().get_filters(request)
        except (ValueError, OverflowError) as error:  # of Django's dates, at the ends of the calendar
            raise IncorrectLookupParameters(error) from error
        left: dict[str, Any] = {
            name: texts for name, texts in found[2].items() if name not in self.also_taken
        }
        dates = [left.pop(f"{self.date_hierarchy}__{bound}", None) for bound in _BOUNDS if self._has_year]
        if left or any(moment.year in _ENDS for moments in dates for moment in moments or ()):
            raise IncorrectLookupParameters(f"the list offers none of {', '.join(left) or 'these dates'}")
        return found

    @property
    def _has_year(self) -> bool:
        return f"{self.date_hierarchy}__year" in self.filter_params


def _is_unfit(name: str, text: str) -> bool:
    if "\x00" in text:
        return True
    is_moment = name.endswith(tuple(f"__{bound}" for bound in _BOUNDS))
    year = text[:4]
    return is_moment and year.isdecimal() and int(year) in _ENDS
