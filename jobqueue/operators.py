"""Groups of operators, made once by a migration of the app whose permissions they have; finer permissions.

    operations = [AddGroups("notes", {"Note reader": ("view_note",)})]

A group is made if none has its name; one that is there belongs to the site, and stays as it is. What a site
changes in it afterwards, or that it takes it away, is not undone: a migration runs once.

    operations = [AddFinerPermissions("notes", {"edit_note": ("reword_note", "move_note")})]

Whoever held the coarse permission, a group or a user, holds those that it stood for as well.

    operations = [AddToGroups("notes", {"Note reader": ("view_author",)}, had=["view_note"])]

A group that is still there, and still has what an earlier migration gave it, has what came later, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.apps import apps as installed
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, migrations, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

Groups = Mapping[str, Sequence[str]]
"""The names of groups, each with the code names of its permissions."""
Finer = Mapping[str, Sequence[str]]
"""Code names of permissions, each with those that it stood for."""
NO_LONGER_USED = "No longer used: "
"""Before the name of a permission that is asked for no more."""


class _WhereGroupsAre(migrations.RunPython):
    """Runs in each database that holds groups, whether or not it holds the rows of the app."""

    arguments: list[Any]

    def deconstruct(self) -> Any:
        """As it stands in a migration."""
        return type(self).__name__, self.arguments, {}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Ask the routers about the groups alone: these may stand in a database that holds no jobs."""
        from_state.clear_delayed_apps_cache()
        self.code(from_state.apps, schema_editor)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Likewise."""
        assert self.reverse_code is not None
        self.reverse_code(from_state.apps, schema_editor)


class AddGroups(_WhereGroupsAre):
    """Makes groups in each database that holds groups, whether or not it holds the rows of the app."""

    def __init__(self, app_label: str, groups: Groups) -> None:
        """`groups` by their names, each with the permissions of the app that it has."""

        def add_the_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                add_groups(apps, app_label, groups, schema_editor.connection.alias)

        super().__init__(add_the_groups, migrations.RunPython.noop)
        self.arguments = [app_label, groups]


class AddToGroups(_WhereGroupsAre):
    """Gives groups that an earlier migration made what came later.

    A group that is gone, or has lost one of the permissions that it `had`, is as its site wants it, and gets
    nothing; nor do users and other groups. Backwards the new permissions go.
    """

    def __init__(self, app_label: str, groups: Groups, had: Sequence[str]) -> None:
        """`groups` by their names, each with the new permissions; `had` are older ones of the same app."""
        new = {name for names in groups.values() for name in names}

        def add(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                using = schema_editor.connection.alias
                _make_permissions(apps, app_label, using)
                add_to_groups(apps, app_label, groups, had, using)

        def take_away(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                _delete(_known(apps, app_label, schema_editor.connection.alias), new)

        super().__init__(add, take_away)
        self.arguments = [app_label, groups, had]


class AddFinerPermissions(_WhereGroupsAre):
    """Gives who holds a permission those that it stood for, in each database that holds groups.

    Its row stays, for older code asks for it during a deploy; what is in no model any more says so by its
    name. Backwards the finer ones go, and who has all that such a one stood for holds it again.
    """

    def __init__(
        self, app_label: str, finer: Finer, former: Mapping[str, str], there: Sequence[str] = ()
    ) -> None:
        """`finer` by the code names of what stood for it; `former` are names that told of more than now.

        What was `there` before stays there backwards.
        """
        new = {name for names in finer.values() for name in names} - set(there)

        def add_finer(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                using = schema_editor.connection.alias
                _make_permissions(apps, app_label, using)
                known = _known(apps, app_label, using)
                _add_finer(known, finer, _holders(apps, using))
                _rename(known, _names_now(apps, app_label, former))

        def add_coarse(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            if holds_groups(apps, schema_editor):
                using = schema_editor.connection.alias
                known = _known(apps, app_label, using)
                gone = set(former) - set(_named(apps, app_label))
                for name in gone - known.keys():  # somebody cleared up
                    like = known[finer[name][0]]
                    fields = {"codename": name, "content_type_id": like.content_type_id}
                    known[name] = type(like)._base_manager.using(using).create(name=former[name], **fields)
                _add_coarse(known, {name: finer[name] for name in gone}, _holders(apps, using))
                _rename(known, former)
                _delete(known, new)

        super().__init__(add_finer, add_coarse)
        self.arguments = [app_label, finer, former, there]


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


def add_to_groups(apps: Apps, app_label: str, groups: Groups, had: Sequence[str], using: str) -> None:
    """Give those of the groups that still have these permissions the new ones."""
    known = _known(apps, app_label, using)
    if not known.keys() >= set(had):
        return
    rows = apps.get_model("auth", "Group")._base_manager.using(using).filter(name__in=list(groups))
    for group in _Holders(rows, "permissions").having(*(known[name] for name in had)):
        group.permissions.add(*(known[name] for name in groups[group.name]))


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


# Finer permissions ------------------------------------------------------------------------------------


def _add_finer(known: Mapping[str, Any], finer: Finer, holders: Iterable[_Holders]) -> None:
    for held in holders:
        for coarse, names in finer.items():
            for holder in held.having(known[coarse]) if coarse in known else ():
                held.of(holder).add(*(known[name] for name in names))


def _add_coarse(known: Mapping[str, Any], finer: Finer, holders: Iterable[_Holders]) -> None:
    for held in holders:
        for coarse, names in finer.items():
            stood_for = [known[name] for name in names if name in known]
            for holder in held.having(*stood_for) if coarse in known and stood_for else ():
                held.of(holder).add(known[coarse])


def _delete(known: Mapping[str, Any], names: set[str]) -> None:
    for name in names & known.keys():
        known[name].delete()


@dataclass(frozen=True)
class _Holders:
    """The groups, or the users, and where each has its permissions."""

    rows: Any
    field: str

    def having(self, *permissions: Any) -> list[Any]:
        """Those that have all of these."""
        rows = self.rows.only("pk")
        for permission in permissions:
            rows = rows.filter(**{self.field: permission})
        return list(rows)

    def of(self, holder: Any) -> Any:
        """Where to add to what it has."""
        return getattr(holder, self.field)


def _holders(apps: Apps, using: str) -> list[_Holders]:
    found = [_Holders(apps.get_model("auth", "Group")._base_manager.using(using), "permissions")]
    with suppress(LookupError, FieldDoesNotExist):  # users of another kind may have none of their own
        users = apps.get_model(settings.AUTH_USER_MODEL)
        field: Any = users._meta.get_field("user_permissions")
        if field.remote_field.through._meta.db_table in connections[using].introspection.table_names():
            found.append(_Holders(users._base_manager.using(using), "user_permissions"))
    return found


def _known(apps: Apps, app_label: str, using: str) -> dict[str, Any]:
    """The permissions of the app by their code names."""
    rows = apps.get_model("auth", "Permission").objects.using(using)
    return {row.codename: row for row in rows.filter(content_type__app_label=app_label)}


def _named(apps: Apps, app_label: str) -> dict[str, str]:
    """The names of the permissions that models have."""
    models = apps.get_app_config(app_label).get_models()
    return {codename: str(name) for model in models for codename, name in model._meta.permissions}


def _names_now(apps: Apps, app_label: str, former: Mapping[str, str]) -> dict[str, str]:
    """What those are called now; what no model has any more stands for nothing."""
    named = _named(apps, app_label)
    return {codename: named.get(codename, f"{NO_LONGER_USED}{name}") for codename, name in former.items()}


def _rename(known: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for codename in known.keys() & names.keys():
        known[codename].name = names[codename]
        known[codename].save(update_fields=["name"])
