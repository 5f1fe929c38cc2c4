"""The migration that builds the indexes of jobs, and what there is before and after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.migrations.loader import MigrationLoader

from jobqueue.models import Job

_KEY = ("jobqueue", "0017_job_indexes")
_LOADER = MigrationLoader(None)
_MIGRATION = _LOADER.disk_migrations[_KEY]
BEFORE = _LOADER.project_state(_KEY, at_end=False)
AFTER = _LOADER.project_state(_KEY)
MOVED = {str(operation.index.name) for operation in _MIGRATION.operations}
"""The names of the indexes that it builds."""


def forwards(connection: Any, names: Iterable[str] = MOVED) -> None:
    """Build these indexes as the migration does."""
    with connection.schema_editor(atomic=False) as editor:
        for operation in _MIGRATION.operations:
            if operation.index.name in names:
                operation.database_forwards("jobqueue", editor, BEFORE, AFTER)


def take_away(connection: Any, names: Iterable[str] = MOVED) -> None:
    """Leave the tables as in an installation that never had these."""
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP INDEX {name}")


def indexes(connection: Any) -> set[str]:
    """The names of the indexes of the jobs' table."""
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, Job._meta.db_table))


def forwards_in_a_thread(name: str, *statements: str) -> None:
    """Build this one on a connection of this thread's own, after these statements."""
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        forwards(connection, {name})
    finally:
        connection.close()
