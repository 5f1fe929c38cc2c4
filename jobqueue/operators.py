"""Groups of operators, made once by a migration of the app whose permissions they have.

    operations = [AddGroups("notes", {"Note reader": ("view_note",)})]

A group is made if none has its name; one that is there belongs to the site, and stays as it is. What a site
changes in it afterwards, or that it takes it away, is not undone: a migration runs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from django.apps import apps as installed
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

Groups = Mapping[str, Sequence[str]]
"""The names of groups, each with the code names of its permissions."""


class AddGroups(migrations.RunPython):
    """Makes groups in each database that holds groups, whether or not it holds the rows of the app."""

    def __init__(self, app_label: str, groups: Groups) -> None:
        """`groups` by their names, each with the permissions of the app that it has."""

        def add_the_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                add_groups(apps, app_label, groups, schema_editor.connection.alias)

        super().__init__(add_the_groups, migrations.RunPython.noop)
        self.arguments = [app_label, groups]

    def deconstruct(self) -> Any:
        """As it stands in a migration."""
        return type(self).__name__, self.arguments, {}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Ask the routers about the groups alone: these may stand in a database that holds no jobs."""
        from_state.clear_delayed_apps_cache()
        self.code(from_state.apps, schema_editor)


def add_groups(apps: Apps, app_label: str, groups: Groups, using: str) -> None:
    """Make those of the groups that are not there."""
    there = apps.get_model("auth", "Group").objects.using(using)
    missing = [name for name in groups if not there.filter(name=name).exists()]
    if missing:
        _make_permissions(apps, app_label, using)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    for name in missing:
        chosen = permissions.filter(content_type__app_label=app_label, codename__in=groups[name])
        there.create(name=name).permissions.set(chosen)


def holds_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> bool:
    """Whether this database holds the groups of `django.contrib.auth`."""
    connection = schema_editor.connection
    try:
        group = apps.get_model("auth", "Group")
    except LookupError:
        return False
    return router.allow_migrate_model(connection.alias, group) and (
        group._meta.db_table in connection.introspection.table_names()
    )


def after_groups() -> list[tuple[str, str]]:
    """What such a migration depends on: the tables of groups, in a project that has any."""
    has_migrations = getattr(settings, "MIGRATION_MODULES", {}).get("auth", "") is not None
    if installed.is_installed("django.contrib.auth") and has_migrations:
        return [("auth", "0012_alter_user_first_name_max_length")]
    return []


def _make_permissions(apps: Apps, app_label: str, using: str) -> None:
    """Make those that Django would make after the migrations: the groups are to have them at once."""
    config = copy(apps.get_app_config(app_label))
    vars(config)["models_module"] = True  # a historical app has none, and without one nothing is made
    create_permissions(config, verbosity=0, using=using, apps=apps)
