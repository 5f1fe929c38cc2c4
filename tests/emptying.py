"""Empties the tables after a test that wrote for good, in a fifth of the time that Django takes for it.

Django truncates all tables, on PostgreSQL 60 ms though most are empty, and lets every app write again what it
writes after a migration, 40 ms of looking for content types and permissions. Here PostgreSQL deletes what is
there, and the rows that the apps wrote the first time are written again as they were.

Loaded with `-p tests.emptying` (pyproject.toml).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from django.core.management.color import Style
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.postgresql.operations import DatabaseOperations

MOST_TO_DELETE = 4 * 2**20
"""Bytes of all tables above which they are truncated: what was deleted stays in the way of who reads."""


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_quickly() -> Iterator[None]:
    from django.core.management.commands import flush
    from django.db.backends.postgresql.operations import DatabaseOperations

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "emit_post_migrate_signal", RowsOfApps().write)
        patch.setattr(DatabaseOperations, "sql_flush", emptying_on_postgresql)
        yield


def emptying_on_postgresql(
    operations: DatabaseOperations, style: Style, tables: Sequence[str], **options: Any
) -> list[str]:
    """What empties these tables, in one statement: waits for who writes, and wins every deadlock.

    A probe that was given up, or the last statement of a killed worker, may hold one table and wait for
    another while this does the opposite. PostgreSQL ends whoever looks for a deadlock first.
    """
    if not tables:
        return []
    names = [operations.quote_name(table) for table in tables]
    all_of_them = ", ".join(names)
    sizes = " + ".join(f"pg_relation_size('{name}')" for name in names)
    deletions = " ".join(f"DELETE FROM {name};" for name in names)
    return [
        f"""DO $$ BEGIN
        SET LOCAL deadlock_timeout = '5min';
        LOCK TABLE {all_of_them} IN ACCESS EXCLUSIVE MODE;
        IF {sizes} > {MOST_TO_DELETE} THEN TRUNCATE {all_of_them};
        ELSE SET LOCAL session_replication_role = replica; {deletions}
        END IF; END $$"""
    ]


class Rows(NamedTuple):
    """All rows of a table."""

    table: str
    columns: Sequence[str]
    values: list[tuple[Any, ...]]


class RowsOfApps:
    """What the apps write into empty tables after a migration: found out once for each database."""

    def __init__(self) -> None:
        self._of_databases: dict[tuple[str, str], list[Rows]] = {}

    def write(self, verbosity: int, interactive: bool, db: str) -> None:
        """In place of `emit_post_migrate_signal`."""
        from django.contrib.contenttypes.models import ContentType
        from django.core.management.sql import emit_post_migrate_signal
        from django.db import connections

        connection = connections[db]
        database = (connection.vendor, str(connection.settings_dict["NAME"]))
        if database in self._of_databases:
            _write(self._of_databases[database], connection)
            ContentType.objects.clear_cache()
        else:
            emit_post_migrate_signal(verbosity, interactive, db)
            self._of_databases[database] = _read(connection)


def _read(connection: BaseDatabaseWrapper) -> list[Rows]:
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.django_table_names(only_existing=True, include_views=False):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            columns = [column[0] for column in cursor.description]
            found.append(Rows(table, columns, cursor.fetchall()))
    return [rows for rows in found if rows.values]


def _write(tables: list[Rows], connection: BaseDatabaseWrapper) -> None:
    from django.db import transaction

    quote = connection.ops.quote_name
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for table, columns, rows in tables:
            places = ", ".join([f"({', '.join(['%s'] * len(columns))})"] * len(rows))
            into = f"{quote(table)} ({', '.join(map(quote, columns))})"
            cursor.execute(f"INSERT INTO {into} VALUES {places}", [value for row in rows for value in row])
