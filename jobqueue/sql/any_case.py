"""Texts that are looked for in any case, in many rows."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q
from django.db.models.lookups import IContains
from django.db.models.sql.compiler import SQLCompiler


class _Contains(IContains):
    """As Django's, but on PostgreSQL a text of ASCII is compared by the letters of ASCII alone.

    To turn every letter of any script in 100,000 errors into its capital took twice as long (144 and 72 ms).
    What differs: a dotless i and a long s are no longer found by an i and an s.
    """

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """The condition as PostgreSQL takes it."""
        if not (isinstance(self.rhs, str) and self.rhs.isascii()):
            return self.as_sql(compiler, connection)
        column, parameters = compiler.compile(self.lhs)
        wanted = connection.ops.prep_for_like_query(self.rhs.upper())
        return f'UPPER(({column})::text COLLATE "C") LIKE %s', [*parameters, f"%{wanted}%"]


def contains(column: Any, text: str) -> Q:
    """Rows whose column, or expression, has this text in it in any case."""
    return Q(_Contains(F(column) if isinstance(column, str) else column, text))
