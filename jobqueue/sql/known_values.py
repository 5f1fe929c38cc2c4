"""The values that a column has, read from its index: a look into it for each, however many rows have it."""

from __future__ import annotations

from typing import Any

_SEEN = """
    WITH RECURSIVE seen(value, place) AS (
        SELECT MIN({column}), 1 FROM {table} WHERE {column} > ''{also}
        UNION ALL
        SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > seen.value{also}), place + 1
        FROM seen WHERE seen.value IS NOT NULL AND place < {most:d}
    )
    SELECT value FROM seen WHERE value IS NOT NULL"""


def known_values(connection: Any, table: str, column: str, most: int, where: str = "") -> str:
    """The statement that gives them in their order, but for the empty one, and no more than so many.

    `where` is the condition of a partial index, which then has these rows alone.
    """
    names = {name: connection.ops.quote_name(text) for name, text in (("table", table), ("column", column))}
    return _SEEN.format(**names, most=most, also=f" AND {where}" if where else "")
