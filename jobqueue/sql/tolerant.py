"""Rows as they are, whatever stands in them: no row keeps those beside it from being read.

A table may hold what Python cannot: a time after the year 9999 or PostgreSQL's `infinity`, a payload that is
no JSON or is nested too deeply, a text that is none (SQLite keeps any bytes in any column). Where a page of
rows cannot be read as usual it is read once more as texts, and each value is taken as far as it goes. What
could not be taken is noted with its row: `unreadable`. As long as nothing is wrong this costs nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.query import ModelIterable

from jobqueue.sql.blame import may_be_of_a_row

_Row = TypeVar("_Row", bound=models.Model)
_UNREADABLE = "_jobqueue_unreadable"
_FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
"""The last moment that Python has; what is later cannot be read."""


def unreadable(instance: models.Model) -> str:
    """Which columns of the row could not be read, in a sentence; empty if all could."""
    names = vars(instance).get(_UNREADABLE)
    return f"{', '.join(names)} cannot be read" if names else ""


class TolerantIterable(ModelIterable):  # type: ignore[type-arg]
    """Instances of the rows of a queryset, also of those that cannot be read as usual."""

    def __iter__(self) -> Iterator[Any]:
        try:
            rows = list(super().__iter__())
            is_odd = connections[self.queryset.db].vendor == "sqlite" and holds_other_kinds(rows)
        except Exception as error:
            if not may_be_of_a_row(error):
                raise
            is_odd = True
        return iter(_read_as_texts(self.queryset) if is_odd else rows)


class TolerantQuerySet(models.QuerySet[_Row]):
    """A queryset whose rows are read whatever stands in them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._iterable_class = TolerantIterable


def holds_other_kinds(rows: Sequence[models.Model]) -> bool:
    """Whether a column of one of these rows holds what it is not for: SQLite keeps anything anywhere."""
    if not rows:
        return False
    model: Any = type(rows[0])
    kinds = _kinds_of(model)
    return any(
        name in kinds and type(value) not in kinds[name] for row in rows for name, value in vars(row).items()
    )


@cache
def _kinds_of(model: type[models.Model]) -> dict[str, tuple[type, ...]]:
    found: dict[str, tuple[type, ...]] = {}
    for field in model._meta.concrete_fields:
        target = getattr(field, "target_field", field)
        kinds = next((kinds for kind, kinds in _KINDS if isinstance(target, kind)), ())
        if kinds:
            found[field.attname] = (*kinds, type(None)) if field.null else kinds
    return found


class AsText(models.Func):
    """A column as text, or on SQLite as its bytes, without looking at what it means."""

    output_field = models.TextField()
    template = "(%(expressions)s)::text"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS BLOB)", **context)


def as_text(value: object) -> str:
    """What `AsText` gave, or any column: as far as it is text."""
    return (
        bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else str(value or "")
    )


def _read_as_texts(queryset: Any) -> list[models.Model]:
    fields = queryset.model._meta.concrete_fields
    columns = {f"text_of_{field.attname}": AsText(models.F(field.attname)) for field in fields}
    rows = queryset._chain().values_list(*columns.values())
    return [_instance(queryset.model, fields, row, queryset.db) for row in rows]


def _instance(model: type[models.Model], fields: Any, row: Any, using: str) -> models.Model:
    values, refused = [], []
    for field, text in zip(fields, row, strict=True):
        value, is_read = _value_of(field, text)
        values.append(value)
        if not is_read:
            refused.append(field.attname)
    instance = model.from_db(using, [field.attname for field in fields], values)
    if refused:
        vars(instance)[_UNREADABLE] = refused
    return instance


def _value_of(field: Any, text: bytes | str | None) -> tuple[Any, bool]:
    """The value as far as it goes, and whether it is what the column holds."""
    if text is None:
        return None, True
    is_text = True
    if isinstance(text, bytes):
        raw, text = text, text.decode("utf-8", "replace")
        is_text = text.encode() == raw
    target = getattr(field, "target_field", field)
    for kind, read, instead in _READERS:
        if isinstance(target, kind):
            try:
                return read(text), is_text
            except (ValueError, OverflowError, RecursionError):
                return instead(text), False
    return text, is_text


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _nearest_moment(text: str) -> datetime:
    return _FIRST if text.startswith("-") or text.endswith("BC") else LAST


_READERS: tuple[tuple[Any, Callable[[str], Any], Callable[[str], Any]], ...] = (
    (models.IntegerField, int, lambda text: 0),
    (models.FloatField, float, lambda text: 0.0),
    (models.DateTimeField, _moment, _nearest_moment),
    (models.BooleanField, lambda text: text.lower() in ("1", "t", "true"), lambda text: False),
    (models.UUIDField, uuid.UUID, lambda text: uuid.UUID(int=0)),
    (models.JSONField, json.loads, str),
)
_KINDS: tuple[tuple[Any, tuple[type, ...]], ...] = (
    (models.IntegerField, (int,)),
    (models.FloatField, (float, int)),
    (models.DateTimeField, (datetime,)),
    (models.BooleanField, (bool,)),
    (models.UUIDField, (uuid.UUID,)),
    (models.JSONField, (dict, list, str, int, float, bool, type(None))),
    (models.CharField, (str,)),
    (models.TextField, (str,)),
)
