"""Indexes that an earlier migration used to build, under a lock that kept everybody from writing."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from jobqueue.sql.index_operations import AddIndexBesideWriters


class AddMissingIndexBesideWriters(AddIndexBesideWriters):
    """An index that an installation may have by now; where it has none it is built beside those who write.

    For migrations with `atomic = False`.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Build it, unless it is there."""
        if schema_editor.connection.vendor == "postgresql" or not self._is_there(
            app_label, schema_editor, to_state
        ):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def _is_there(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: Any) -> bool:
        table = state.apps.get_model(app_label, self.model_name)._meta.db_table
        connection = schema_editor.connection
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
            return table in tables and self.index.name in connection.introspection.get_constraints(
                cursor, table
            )
