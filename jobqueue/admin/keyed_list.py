"""Django's list of rows, paged by key: "newer" and "older" instead of numbers of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.admin.bounded_search import BoundedChangeList
from jobqueue.admin.keyed_pages import LAST, KeyedPage, KeyedPages, Part
from jobqueue.admin.offered_lookups import OfferedLookups

_LONGEST_NUMBER = len("99")
"""Of a column: no list has more of them."""


@dataclass(frozen=True, slots=True)
class Way:
    """A link to another page of the list."""

    label: str
    url: str


def ways_of(page: KeyedPage, labels: Sequence[str], address: Callable[[str | None], str]) -> Iterator[Way]:
    """The links from a page to the others, the way to the beginning first.

    `labels` are of the first, the one before, the one behind and the last; `address` makes the address of a
    place, and of the beginning without one.
    """
    first, newer, older, last = labels
    if page.newer:
        yield Way(first, address(None))
        yield Way(newer, address(page.newer.as_text()))
    if page.older:
        yield Way(older, address(page.older.as_text()))
        yield Way(last, address(LAST))


class KeyedChangeList(OfferedLookups, BoundedChangeList):
    """A list whose pages begin behind a row; by numbers only where its order is by columns of other rows."""

    keyed_page: KeyedPage | None = None

    def pages(self, request: HttpRequest) -> KeyedPages | None:
        """The pages of this list; None where no values of a row tell its place."""
        part = Part.of(self.queryset)
        return KeyedPages([part], self.list_per_page) if part is not None else None

    def number(self, request: HttpRequest, pages: KeyedPages) -> Any:
        """How many rows the list has, counted no further than what a list may read."""
        return self.model_admin.get_paginator(request, self.queryset, self.list_per_page).count

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and, if it is not all there is, how many rows the list has."""
        pages = self.pages(request)
        if pages is None:
            return super().get_results(request)
        page = self.keyed_page = pages.page(request.GET.get(PAGE_VAR, ""))
        is_all = page.newer is None and page.older is None
        self.result_list: Any = page.rows
        self.result_count = len(page.rows) if is_all else self.number(request, pages)
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        self.full_result_count, self.show_full_result_count = None, False
        self.show_admin_actions = bool(page.rows)
        self.can_show_all = self.multi_page = False
        return None

    # The order ------------------------------------------------------------------------------------

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> list[Any]:
        """The order of the list; what cannot be sorted by is left out, whatever an address asks for."""
        if ORDER_VAR in self.params:
            asked = [part for part in self.params[ORDER_VAR].split(".") if self._may_sort(part)]
            self.params[ORDER_VAR] = ".".join(asked)
        return super().get_ordering(request, queryset)

    def _may_sort(self, part: str) -> bool:
        number = part.rpartition("-")[2]
        if not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER):
            return False
        if int(number) >= len(self.list_display):
            return False
        return self.sortable_by is None or self.list_display[int(number)] in self.sortable_by

    # The ways to other pages ----------------------------------------------------------------------

    @cached_property
    def ways(self) -> list[Way]:
        """The links below the list, the way to its beginning first."""
        if self.keyed_page is None:
            return []
        return list(ways_of(self.keyed_page, self._labels, self._address))

    def _address(self, place: str | None) -> str:
        return str(self.get_query_string({PAGE_VAR: place}))

    @property
    def _labels(self) -> Sequence[str]:
        order = self.queryset.query.order_by
        leading = str(order[0]) if order else ""
        name = leading.removeprefix("-")
        if name == "run_at":
            labels = (gettext("Latest"), gettext("Later"), gettext("Sooner"), gettext("Soonest"))
            return labels if leading.startswith("-") else labels[::-1]
        if name in ("id", "pk") or name.endswith("_at"):
            labels = (gettext("Newest"), gettext("Newer"), gettext("Older"), gettext("Oldest"))
            return labels if leading.startswith("-") else labels[::-1]
        return gettext("First"), gettext("Previous"), gettext("Next"), gettext("Last")
