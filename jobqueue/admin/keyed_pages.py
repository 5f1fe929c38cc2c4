"""Pages by key: each begins behind a row of the one before it, however many rows there are.

No row before a page is read or counted, and what is added meanwhile moves none: nothing is seen twice or
left out. An address carries the row's values in the order of the list, so that it also leads to the same
page once that row is gone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final, Self

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connections, models
from django.db.models import Q

from jobqueue.sql.moments import compared, kept_of, read_kept, with_kept

AFTER: Final = "after"
BEFORE: Final = "before"
LAST: Final = "last"
_LONGEST_PLACE = 2_000
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins, or with `before` ends: beside a row of one of the parts, by its values there."""

    part: int
    values: tuple[Any, ...]
    before: bool = False

    def as_text(self) -> str:
        """The place as a word of an address."""
        text = json.dumps([self.part, *map(_plain, self.values)], ensure_ascii=False)
        encoded = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode().rstrip("=")
        return f"{BEFORE if self.before else AFTER}.{encoded}"


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an order."""

    field: Any
    descending: bool
    using: str

    @property
    def is_moment(self) -> bool:
        """Whether it says when: databases keep that in ways of their own."""
        return isinstance(self.field, models.DateTimeField)

    @property
    def name(self) -> str:
        """By what a queryset is asked for it."""
        return str(self.field.attname)

    def value_of(self, row: models.Model) -> Any:
        """What stands there; of an amount of money the number."""
        value = kept_of(row, self.name) if self.is_moment else getattr(row, self.name)
        return getattr(value, "amount", value)

    def read(self, value: Any) -> Any:
        """A value of this column from one of an address. Raises ValueError or the like for what is none."""
        if value is None:
            return None
        if isinstance(value, str):
            if "\x00" in value:
                raise ValueError
            value.encode()
        elif abs(value) > _LARGEST_NUMBER:
            raise ValueError
        if self.is_moment:
            return read_kept(value, self.using)
        found = self.field.to_python(value)
        return getattr(found, "amount", found)


class Part:
    """Rows in an order by columns of their own; the columns together tell each row from every other."""

    def __init__(self, rows: models.QuerySet[Any], columns: Sequence[Column]) -> None:
        self.columns = columns
        ordered = rows.order_by(*(f"{'-' * column.descending}{column.name}" for column in columns))
        self.rows = self.with_keys(ordered)

    def with_keys(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Rows of this part that bring along what `place_of` asks of them."""
        return with_kept(rows, *(column.name for column in self.columns if column.is_moment))

    @classmethod
    def of(cls, rows: models.QuerySet[Any]) -> Self | None:
        """The part that these rows are as they are ordered; None where no values of a row tell its place."""
        columns = [_column(rows, part) for part in rows.query.order_by]
        if not columns or rows.query.distinct or rows.query.is_sliced:
            return None
        by_name = {column.name: column for column in reversed(columns) if column is not None}
        return cls(rows, list(by_name.values())[::-1]) if None not in columns else None

    def place_of(self, number: int, row: models.Model, *, before: bool = False) -> Place:
        """The place beside this row, where this part is the one of that number."""
        return Place(number, tuple(column.value_of(row) for column in self.columns), before)

    def beside(self, place: Place | None, *, backwards: bool = False) -> models.QuerySet[Any]:
        """The rows behind a place, or before it from there on; all without one."""
        rows = self.rows.reverse() if backwards else self.rows
        return rows if place is None else rows.filter(self._behind(place.values, rows.db, backwards))

    def _behind(self, values: Sequence[Any], using: str, backwards: bool) -> Q:
        steps = [
            _Step(column, value, column.descending != backwards, using)
            for column, value in zip(self.columns, values, strict=True)
        ]
        ways, same = [], Q()
        for step in steps:
            ways.append(same & step.beyond)
            same &= step.same
        # The first column alone says where an index is to be entered: no database sees that in the rest.
        return steps[0].bound & reduce(or_, ways)


class _Step:
    """One column on the way beyond a value of it."""

    def __init__(self, column: Column, value: Any, is_down: bool, using: str) -> None:
        self.name, self.value = column.name, compared(value)
        self.comparison = "lt" if is_down else "gt"
        # PostgreSQL has rows without a value at the upper end, SQLite at the lower one.
        self.has_nothing_last = column.field.null and is_down != _is_nothing_largest(using)

    @property
    def same(self) -> Q:
        """Rows with this value."""
        return Q(**({f"{self.name}__isnull": True} if self.value is None else {self.name: self.value}))

    @property
    def beyond(self) -> Q:
        """Rows behind all that have this value."""
        if self.value is None:
            return Q(pk__in=[]) if self.has_nothing_last else Q(**{f"{self.name}__isnull": False})
        beyond = Q(**{f"{self.name}__{self.comparison}": self.value})
        return beyond | Q(**{f"{self.name}__isnull": True}) if self.has_nothing_last else beyond

    @property
    def bound(self) -> Q:
        """Rows with this value or behind it, where one comparison says it."""
        if self.value is None or self.has_nothing_last:
            return Q()
        return Q(**{f"{self.name}__{self.comparison}e": self.value})


def _is_nothing_largest(using: str) -> bool:
    return bool(connections[using].features.nulls_order_largest)


def _column(rows: models.QuerySet[Any], part: Any) -> Column | None:
    """The column of a part of an order; None for what is no column of the rows themselves."""
    if not isinstance(part, str):
        return None
    model, name = rows.model, part.removeprefix("-")
    try:
        field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        field = next((field for field in model._meta.concrete_fields if field.attname == name), None)
    if field is None or not getattr(field, "concrete", False):
        return None
    if field.remote_field and name == field.name and field.related_model._meta.ordering:
        return None  # in the order of the records that it names
    return Column(field, part.startswith("-"), rows.db)


@dataclass(frozen=True, slots=True)
class KeyedPage:
    """Rows of a list, and the places where the pages beside them are; None at the end of the list."""

    rows: list[Any]
    newer: Place | None = None
    older: Place | None = None


class KeyedPages:
    """The pages of a list whose parts follow each other, each in its own order."""

    def __init__(self, parts: Sequence[Part], size: int) -> None:
        self.parts = parts
        self.size = size

    def read_place(self, text: str) -> Place | None:
        """The place that an address names; None for what is no place of this list."""
        side, _dot, encoded = text.partition(".")
        if side not in (AFTER, BEFORE) or len(encoded) > _LONGEST_PLACE:
            return None
        try:
            number, *values = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
            if not isinstance(number, int) or not 0 <= number < len(self.parts):
                return None
            pairs = zip(self.parts[number].columns, values, strict=True)
            return Place(number, tuple(column.read(value) for column, value in pairs), side == BEFORE)
        except (ValueError, TypeError, OverflowError, RecursionError, ValidationError, ArithmeticError):
            return None

    def page(self, text: str) -> KeyedPage:
        """The page of an address: behind or before a place, the last one, one by number, or the first."""
        place = self.read_place(text)
        if text == LAST:
            return self._before(None)
        if place is None:
            return self._numbered(int(text)) if _is_number(text) else self._after(None)
        return self._before(place) if place.before else self._after(place)

    def found(self, place: Place | None, most: int, *, backwards: bool = False) -> list[tuple[int, Any]]:
        """So many rows behind a place or before it, each with the number of its part, in the order walked."""
        numbers = range(len(self.parts))
        found: list[tuple[int, Any]] = []
        for number in reversed(numbers) if backwards else numbers:
            if place is not None and (number > place.part if backwards else number < place.part):
                continue
            at = place if place is not None and place.part == number else None
            rows = self.parts[number].beside(at, backwards=backwards)[: most - len(found)]
            found += [(number, row) for row in rows]
            if len(found) >= most:
                break
        return found

    def _after(self, place: Place | None) -> KeyedPage:
        found = self.found(place, self.size + 1)
        if not found and place is not None:  # what was there is gone
            return self._before(None)
        return self._page(found[: self.size], has_newer=place is not None, has_older=len(found) > self.size)

    def _before(self, place: Place | None) -> KeyedPage:
        found = self.found(place, self.size + 1, backwards=True)
        if not found and place is not None:
            return self._after(None)
        rows = found[: self.size][::-1]
        return self._page(rows, has_newer=len(found) > self.size, has_older=place is not None)

    def _numbered(self, number: int) -> KeyedPage:
        """The page that had this number when pages had numbers: bookmarks are kept longer than programs."""
        left = (number - 1) * self.size
        for index, part in enumerate(self.parts if left else ()):
            row = part.rows[left - 1 : left].first() if left <= _LARGEST_NUMBER else None
            if row is not None:
                return self._after(part.place_of(index, row))
            left -= part.rows[:left].count()
        return self._before(None) if left else self._after(None)

    def _page(self, found: list[tuple[int, Any]], *, has_newer: bool, has_older: bool) -> KeyedPage:
        rows = [row for _number, row in found]
        newer = self._beside(found[0], before=True) if found and has_newer else None
        older = self._beside(found[-1], before=False) if found and has_older else None
        return KeyedPage(rows, newer, older)

    def _beside(self, found: tuple[int, Any], *, before: bool) -> Place:
        number, row = found
        return self.parts[number].place_of(number, row, before=before)


def _is_number(text: str) -> bool:
    """Whether an address may have named a page so; five million rows were the most."""
    return text.isascii() and text.isdecimal() and len(text) <= len("100000") and int(text) > 0
