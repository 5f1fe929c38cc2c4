"""Several questions in one statement: how many are asked then does not grow with what was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections, models

from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.tolerant import TolerantQuerySet, holds_other_kinds

Row = TypeVar("Row", bound=models.Model)
PLACE: Final = "together_place"
_RANK: Final = "together_rank"


def read_together(querysets: Sequence[models.QuerySet[Row]]) -> list[list[Row]]:
    """The rows of each of these querysets of one model, by one statement for all of them.

    Each keeps its condition, its order and its slice, and is planned as if it were alone: an OR of many
    conditions would lose the indexes that these have. Related records are not read along (`select_related`).
    """
    found: list[list[Row]] = [[] for _ in querysets]
    try:
        rows = _read(querysets)
        is_odd = isinstance(querysets[0], TolerantQuerySet) and _holds_other_kinds(rows, querysets[0].db)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        is_odd = True
    if is_odd:  # then each by itself, as its own queryset reads what is no row as usual
        return [list(one) for one in querysets]
    for row in sorted(rows, key=lambda one: int(vars(one)[_RANK])):
        del vars(row)[_RANK]
        found[vars(row).pop(PLACE)].append(row)
    return found


def _read(querysets: Sequence[models.QuerySet[Row]]) -> list[Row]:
    asked = {place: rows.select_related(None) for place, rows in enumerate(querysets)}
    # No database promises to keep the order of what is put together.
    statement, parameters = union_of(asked, f"row_number() OVER () AS {_RANK}, asked.*")
    if not statement:
        return []
    first = querysets[0]
    rows = list(first.raw(statement, parameters, using=first.db))
    _convert(rows, first)
    return rows


def _convert(rows: list[Any], queryset: models.QuerySet[Any]) -> None:
    """What was annotated, as the database's own kinds: Django converts columns alone where it reads so."""
    connection = connections[queryset.db]
    for name, expression in queryset.query.annotation_select.items():
        converters = connection.ops.get_db_converters(expression) + expression.get_db_converters(connection)
        for row in rows:
            for convert in converters:
                vars(row)[name] = convert(vars(row)[name], expression, connection)


def _holds_other_kinds(rows: list[Any], using: str) -> bool:
    return connections[using].vendor == "sqlite" and holds_other_kinds(rows)


def union_of(asked: Mapping[int, models.QuerySet[Any]], columns: str) -> tuple[str, list[Any]]:
    """The statement that gives the place of each of the querysets with these columns of its rows, `asked`.

    It is empty where none of them can have any.
    """
    statements, parameters = [], []
    for place, rows in asked.items():
        try:
            statement, given = rows.query.get_compiler(rows.db).as_sql()
        except EmptyResultSet:
            continue
        statements.append(f"SELECT {place:d} AS {PLACE}, {columns} FROM ({statement}) AS asked")
        parameters += given
    return " UNION ALL ".join(statements), parameters
