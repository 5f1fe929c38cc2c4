"""Moments as a database keeps them, for comparisons that must tell equal ones from earlier ones.

SQLite keeps texts and compares them as such: its own clock writes `… 08:01:56.539`, Django `….539000` and for
a whole second no digits at all. Of one moment the shorter text is less, and none equals another. Indexes are
in the order of these texts, so a key that is to be found by them carries the text itself; and what has an
edge is compared with the shortest text of its moment. Other databases know moments: there nothing is done.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast

_Rows = TypeVar("_Rows", bound=models.QuerySet[Any])
_KEPT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


class KeptText(str):
    """The text by which SQLite keeps a moment."""

    __slots__ = ()


def are_texts(using: str) -> bool:
    """Whether that database keeps moments as texts."""
    return connections[using].vendor == "sqlite"


def with_kept(rows: _Rows, *names: str) -> _Rows:
    """The rows, each with the moments of these columns as the database keeps them, for `kept_of`."""
    if not names or not are_texts(rows.db):
        return rows
    return rows.annotate(**{_annotated(name): Cast(F(name), TextField()) for name in names})


def kept_of(row: models.Model, name: str) -> KeptText | datetime | None:
    """The moment of a row that `with_kept` brought, for `compared`."""
    text = vars(row).get(_annotated(name))
    return KeptText(text) if text is not None else getattr(row, name)


def read_kept(text: Any, using: str) -> KeptText | datetime:
    """A moment as `kept_of` told it, from an address. Raises ValueError or the like for what is none."""
    if are_texts(using) and _KEPT.fullmatch(text):
        return KeptText(text)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found.astimezone(UTC)


def compared(value: Any) -> Any:
    """A value as a filter takes it: a kept text as it is, and not as Django would write its moment."""
    return Value(str(value), output_field=TextField()) if isinstance(value, KeptText) else value


def edge(moment: datetime | None, using: str) -> Any:
    """A moment for `__gte` and `__lt`: what is kept of that very moment is behind the edge, in any digits."""
    if moment is None or not are_texts(using):
        return moment
    text = str(connections[using].ops.adapt_datetimefield_value(moment))
    return compared(KeptText(text.rstrip("0").removesuffix(".") if "." in text else text))


def _annotated(name: str) -> str:
    return f"kept_{name}"
