"""Some columns of several querysets by one statement, where nobody needs the rows of the model."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from django.db import connections, models

from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.together import read_together, union_of


def columns_together(querysets: Sequence[models.QuerySet[Any]], *names: str) -> list[tuple[Any, ...]]:
    """These two or more columns of the rows of each queryset, one after the other, by one statement.

    They may be annotations, which the querysets have in common; of rows that cannot be read as usual these
    are None.

    1,000 jobs take 7 ms so, and 16 as rows of the model. Where a row cannot be read as usual, and on SQLite,
    which keeps no moments, they are read as such.
    """
    using = querysets[0].db
    if connections[using].vendor == "postgresql":
        try:
            return _tuples([rows.values_list(*names) for rows in querysets], using)
        except Exception as error:
            if not may_be_of_a_row(error):
                raise
    annotations = querysets[0].query.annotations
    fields = [name for name in names if name not in annotations]
    found = read_together([rows.only(*fields) for rows in querysets])
    return [tuple(getattr(row, name, None) for name in names) for rows in found for row in rows]


def _tuples(querysets: Sequence[models.QuerySet[Any, Any]], using: str) -> list[tuple[Any, ...]]:
    # No database promises to keep the order of what is put together.
    statement, parameters = union_of(dict(enumerate(querysets)), "row_number() OVER () AS rank, asked.*")
    if not statement:
        return []
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        return [row[2:] for row in sorted(cursor.fetchall(), key=itemgetter(0, 1))]
