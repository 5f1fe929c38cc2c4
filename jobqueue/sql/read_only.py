"""Whether jobs can be run in a database at all: asked of the database, for what no waiting mends."""

from __future__ import annotations

import os
from typing import Any

from django.apps import apps
from django.db import connections

_REFUSED = """
    SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', (
        SELECT string_agg(DISTINCT name, ', ')
        FROM unnest(%s::text[]) AS name, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS right_to
        WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), right_to)
    )
"""


def why_not_written(using: str) -> str:
    """Why jobs of this database cannot be run through this alias; empty where they can. Writes nothing."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        return _why_not_on_sqlite(connection)
    tables = [model._meta.db_table for model in apps.get_app_config("jobqueue").get_models()]
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED, [tables])
        is_replica, is_read_only, refused = cursor.fetchone()
    if is_replica:
        return "it is a replica, which takes no writes"
    if is_read_only:
        return "its transactions are read-only"
    return f"its user may not read and write {refused}" if refused else ""


def sentence(using: str, why: str) -> str:
    """What people are told, with the settings that help."""
    return (
        f"the jobs of the database {using!r} cannot be run: {why}. Give its user the rights, "
        'or name the databases whose jobs are to be run in JOBQUEUE["DATABASES"]'
    )


def _why_not_on_sqlite(connection: Any) -> str:
    name = str(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        is_read_only = bool(cursor.execute("PRAGMA query_only").fetchone()[0])
    if is_read_only or "mode=ro" in name or "immutable=1" in name:
        return "it is opened for reading alone"
    if not name.startswith("file:") and os.path.exists(name) and not os.access(name, os.W_OK):
        return "this user may not write its file"
    return ""
