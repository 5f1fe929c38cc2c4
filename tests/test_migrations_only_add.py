"""Migrations come first in a deploy and only add: for a while older code works on the new schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.fields import NOT_PROVIDED

from jobqueue.sql.index_operations import AddIndexBesideWriters

# From the ones after these on: then the rule was made.
LAST_BEFORE_THE_RULE = {"jobqueue": 4, "settlements": 3}
# What changes no table, or makes room where there was none.
_HARMLESS = (
    migrations.CreateModel,
    migrations.AddIndex,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
)
# What runs statements of its own says by its name that they add as well, or mend triggers of ours.
_HARMLESS_NAMES = ("add", "start", "make", "fill", "renew", "trigger")


def _migrations() -> Iterator[tuple[str, migrations.Migration]]:
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in LAST_BEFORE_THE_RULE and int(name[:4]) > LAST_BEFORE_THE_RULE[app]:
            yield f"{app}.{name}", migration


def _before(operation: Operation, migration: migrations.Migration) -> models.Field[Any, Any] | None:
    """The field that this alters, as it was."""
    if not isinstance(operation, migrations.AlterField):
        return None
    loader, label = MigrationLoader(None), migration.app_label
    state = loader.project_state([(label, migration.name)], at_end=False)
    return state.models[label, operation.model_name_lower].fields[operation.name]


def _without_choices(field: models.Field[Any, Any]) -> Any:
    """What a column is made from: choices are Python's alone."""
    _name, path, arguments, options = field.deconstruct()
    return path, arguments, {name: value for name, value in options.items() if name != "choices"}


def _trouble(operation: Operation, before: models.Field[Any, Any] | None = None) -> str:
    """Why older code could not go on after this; empty if it could."""
    what = operation.describe()
    if isinstance(operation, migrations.AlterField) and before is not None:
        return "" if _without_choices(before) == _without_choices(operation.field) else what
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if field.null or field.many_to_many or field.db_default is not NOT_PROVIDED:
            return ""
        return f"{what}: older code inserts rows without it, so it needs a db_default, or null=True"
    if isinstance(operation, migrations.RunPython):
        name = operation.code.__name__.strip("_")
        harmless = name.startswith(_HARMLESS_NAMES)
        return (
            "" if harmless else f"{what}: name {name!r} after what it adds ({', '.join(_HARMLESS_NAMES)} …)"
        )
    if isinstance(operation, migrations.RunSQL | migrations.SeparateDatabaseAndState):
        return f"{what}: nobody can see whether it only adds; write it as operations, or as a named RunPython"
    if isinstance(operation, _HARMLESS):
        return ""
    return (
        f"{what}: workers of the version before still run on this schema while it is deployed. Add what is "
        "new now, and take away what is old in a later release, when no code uses it any more"
    )


def _built_under_a_lock(migration: migrations.Migration) -> list[str]:
    """The indexes of tables that were there before, for whose sake nobody could write meanwhile."""
    made = [operation for operation in migration.operations if isinstance(operation, migrations.CreateModel)]
    new = {operation.name.lower() for operation in made}
    return [
        f"{operation.describe()}: use AddIndexBesideWriters, in a migration with atomic = False"
        for operation in migration.operations
        if isinstance(operation, migrations.AddIndex)
        and operation.model_name.lower() not in new
        and not (isinstance(operation, AddIndexBesideWriters) and not migration.atomic)
    ]


def test_no_index_of_jobs_is_built_under_a_lock() -> None:
    found = [
        f"{name}: {trouble}"
        for name, migration in _migrations()
        for trouble in _built_under_a_lock(migration)
    ]

    assert found == []


def test_every_migration_only_adds() -> None:
    found = [
        f"{name}: {trouble}"
        for name, migration in _migrations()
        for operation in migration.operations
        if (trouble := _trouble(operation, _before(operation, migration)))
    ]

    assert found == []


def test_the_rule_has_migrations_to_hold_for() -> None:
    assert [name for name, _migration in _migrations()]


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("job", "reason"),
        migrations.RenameField("job", "reason", "why"),
        migrations.AlterField("job", "reason", models.CharField(max_length=10)),
        migrations.AddField("job", "note", models.CharField(max_length=10, default="")),
        migrations.AddConstraint("job", models.CheckConstraint(condition=models.Q(pk__gt=0), name="above")),
        migrations.DeleteModel("Queue"),
        migrations.RunSQL("DROP TABLE jobqueue_job"),
    ],
)
def test_what_older_code_cannot_work_with_is_found(operation: Operation) -> None:
    assert _trouble(operation)


def test_a_column_with_a_default_of_the_database_is_no_trouble() -> None:
    field = models.CharField(max_length=10, default="", db_default="")
    assert _trouble(migrations.AddField("job", "note", field)) == ""


def test_further_choices_are_no_trouble() -> None:
    before = models.CharField(max_length=10, choices=[("a", "a")])
    more = models.CharField(max_length=10, choices=[("a", "a"), ("b", "b")])
    assert _trouble(migrations.AlterField("job", "reason", more), before) == ""
    longer = models.CharField(max_length=11, choices=[("a", "a")])
    assert _trouble(migrations.AlterField("job", "reason", longer), before)
