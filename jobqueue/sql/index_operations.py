"""Indexes for tables that are written to meanwhile: what migrations use where a table may be large."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddIndex

_STANDING = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"


class AddIndexBesideWriters(AddIndex):
    """An index that keeps nobody from writing while it is built: on PostgreSQL, where that takes long.

    For migrations with `atomic = False`. One that was broken off is begun again: what it left behind is no
    index, and PostgreSQL keeps its name.
    """

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Build it, unless it is there."""
        if schema_editor.connection.vendor != "postgresql":
            return super().database_forwards(app_label, schema_editor, from_state, to_state)
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return None
        standing = None if schema_editor.collect_sql else _is_valid(schema_editor, str(self.index.name))
        if standing is False:
            _take_away(schema_editor, str(self.index.name))
        if not standing:
            schema_editor.execute(
                self.index.create_sql(model, schema_editor, concurrently=True),
                params=None,
            )
        return None

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Take it away, also beside writers."""
        if schema_editor.connection.vendor != "postgresql":
            return super().database_backwards(app_label, schema_editor, from_state, to_state)
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _take_away(schema_editor, str(self.index.name))
        return None


def _is_valid(schema_editor: BaseDatabaseSchemaEditor, name: str) -> bool | None:
    """Whether the index can be used; None where there is none."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_STANDING, [schema_editor.quote_name(name)])
        row = cursor.fetchone()
    return None if row is None else bool(row[0])


def _take_away(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}", params=None)


def add_index(schema_editor: BaseDatabaseSchemaEditor, name: str, definition: str) -> None:
    """An index of PostgreSQL alone that no model can name, built beside writers: `ON table USING …`.

    For migrations with `atomic = False`; one that was broken off is begun again.
    """
    if _is_valid(schema_editor, name) is False:
        _take_away(schema_editor, name)
    quoted = schema_editor.quote_name(name)
    schema_editor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {quoted} {definition}", params=None)


def drop_index(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    """Take it away, also beside writers."""
    _take_away(schema_editor, name)
