"""Columns that a migration adds beside what may be broken off: then it is begun again."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddField


class AddFieldOnce(AddField):
    """A column that may be there already, of a run of the same migration that did not come to its end.

    For migrations with `atomic = False`, whose indexes are built beside those who write.
    """

    atomic = True

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Add it, unless it is there."""
        if schema_editor.collect_sql or not self._is_there(app_label, schema_editor, to_state):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def _is_there(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: Any) -> bool:
        options = state.apps.get_model(app_label, self.model_name)._meta
        connection = schema_editor.connection
        with connection.cursor() as cursor:
            if options.db_table not in connection.introspection.table_names(cursor):
                return False
            columns = connection.introspection.get_table_description(cursor, options.db_table)
        return options.get_field(self.name).column in {column.name for column in columns}
