"""Columns of a migration that may be broken off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, models
from django.db.migrations.state import ModelState, ProjectState

from jobqueue.models import Cause
from jobqueue.sql.column_operations import AddFieldOnce

pytestmark = pytest.mark.django_db(transaction=True)
_OPERATION = AddFieldOnce("cause", "for_a_test", models.BooleanField(null=True))
_BEFORE = ProjectState()
_BEFORE.add_model(ModelState.from_model(Cause))
_AFTER = _BEFORE.clone()
_OPERATION.state_forwards("jobqueue", _AFTER)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    with connection.schema_editor(atomic=False) as editor:
        _OPERATION.database_backwards("jobqueue", editor, _AFTER, _BEFORE)
    assert "for_a_test" not in _columns()


def _columns() -> list[str]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, Cause._meta.db_table)
    return [column.name for column in found]


@pytest.mark.parametrize("runs", [1, 2])
def test_the_column_is_there_once_however_often_the_migration_is_begun(runs: int) -> None:
    for _ in range(runs):
        with connection.schema_editor(atomic=False) as editor:
            _OPERATION.database_forwards("jobqueue", editor, _BEFORE, _AFTER)
    assert _columns().count("for_a_test") == 1
