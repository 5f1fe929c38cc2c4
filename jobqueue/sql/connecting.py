"""How long a worker's processes wait for a database to take a connection, where the project does not say."""

from __future__ import annotations

import os

from django.db import connections

from jobqueue.sql.databases import databases, vendor_of

# With several databases: while one is waited for, whoever waits serves none of the others.
_SECONDS = 5
# By each of these a project may say so itself.
_OPTIONS = ("connect_timeout", "service")
_VARIABLES = ("PGCONNECT_TIMEOUT", "PGSERVICE")


def limit_connecting_in_this_process() -> None:
    """Where several databases hold jobs, have PostgreSQL take a connection within seconds; for workers.

    The driver waits for minutes. What a project's OPTIONS or the environment say stays as it is.
    """
    served = databases()
    if len(served) < 2 or any(os.environ.get(name) for name in _VARIABLES):
        return
    for using in served:
        settings = connections.settings[using]
        options = settings["OPTIONS"]
        if vendor_of(using) == "postgresql" and not any(name in options for name in _OPTIONS):
            settings["OPTIONS"] = {**options, "connect_timeout": _SECONDS}
