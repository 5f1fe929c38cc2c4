"""Pages by key: each says where the next one begins, however many rows are before it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from jobqueue.api.bodies import StrictQuery
from jobqueue.api.problems import BadQuery
from jobqueue.sql.moments import KeptText, compared, kept_of, read_kept, with_kept

MOST_ROWS: Final = 200
USUAL_ROWS: Final = 50
LARGEST_ID: Final = 2**63 - 1
_LONGEST_CURSOR = 300
_NO_CURSOR = "invalid_cursor"


class Cursor(serializers.CharField):
    """Where a page begins; whether that is a place in the list is seen when its key is read."""

    default_error_messages = {_NO_CURSOR: "It is no cursor of this list; take the one from `next`."}

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False,
            max_length=_LONGEST_CURSOR,
            help_text="Where the page begins: `next` of the page before it.",
            **options,
        )


class PageQuery(StrictQuery):
    """Which page."""

    cursor = Cursor()
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_ROWS, default=USUAL_ROWS, help_text="Rows of a page."
    )


def page(
    request: Request,
    rows: Sequence[Any],
    limit: int,
    key_of: Callable[[Any], list[Any]],
    shown: Callable[[list[Any]], list[Any]],
) -> dict[str, Any]:
    """The body of a page from `limit + 1` rows; `shown` turns those of the page into what is answered."""
    chosen = list(rows[:limit])
    is_more = len(rows) > limit
    return {
        "next": address_behind(request, key_of(chosen[-1])) if is_more else None,
        "results": shown(chosen),
    }


def page_by_moment(
    request: Request,
    rows: QuerySet[Any],
    asked: Mapping[str, Any],
    order: tuple[str, Callable[[Any], Any]],
    shown: Callable[[list[Any]], list[Any]],
) -> dict[str, Any]:
    """The body of a page of rows by a moment, and by their keys where they share it.

    `order` is its column, with `-` for the latest first, and what reads a key.
    """
    column, is_down = order[0].removeprefix("-"), order[0].startswith("-")
    rows = with_kept(rows.order_by(order[0], "-pk" if is_down else "pk"), column)
    if "cursor" in asked:
        begin, pk = read_cursor(asked["cursor"], _moment_in(rows.db), order[1])
        moment, beyond, before = compared(begin), *(("lte", "gte") if is_down else ("gte", "lte"))
        # The first condition lets the index of times begin there.
        rows = rows.filter(**{f"{column}__{beyond}": moment}).exclude(**{column: moment, f"pk__{before}": pk})
    found = list(rows[: asked["limit"] + 1])
    return page(request, found, asked["limit"], lambda row: [kept_of(row, column), row.pk], shown)


def address_behind(request: Request, key: list[Any]) -> str:
    """Where the page begins that follows the row of this key."""
    return replace_query_param(request.build_absolute_uri(), "cursor", write_cursor(key))


def write_cursor(key: list[Any]) -> str:
    """A key as a text for addresses."""
    text = json.dumps(key, default=lambda value: getattr(value, "isoformat", value.__str__)())
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, *kinds: Callable[[Any], Any]) -> list[Any]:
    """The key that `write_cursor` wrote; BadQuery for any other text."""
    try:
        key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(key, list) or len(key) != len(kinds):
            raise ValueError
        return [kind(value) for kind, value in zip(kinds, key, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError):
        raise no_cursor() from None


def no_cursor() -> BadQuery:
    """The refusal of what is no cursor of a list."""
    text = str(Cursor.default_error_messages[_NO_CURSOR])
    return BadQuery({"cursor": [serializers.ErrorDetail(text, _NO_CURSOR)]})


def whole_id(value: Any) -> int:
    """The id of a row; ValueError for what no column holds."""
    if not isinstance(value, int) or isinstance(value, bool) or not -LARGEST_ID <= value <= LARGEST_ID:
        raise ValueError
    return value


def stored_text(value: Any) -> str:
    """A text as columns hold them; ValueError for what no database takes as one."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError
    value.encode()  # half of a character is none, and an error that is a ValueError
    return value


def _moment_in(using: str) -> Callable[[Any], KeptText | datetime]:
    """Reads a moment as that database keeps it; ValueError for another text."""

    def read(value: Any) -> KeptText | datetime:
        found = read_kept(value, using)
        if isinstance(found, datetime) and not 1 < found.year < 9999:
            raise ValueError
        return found

    return read
