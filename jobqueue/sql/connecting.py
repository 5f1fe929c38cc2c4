"""How long a worker's processes wait for a database that does not answer, where the project does not say.

Only the connections of the process that calls these: those of web processes stay as they are.
"""

from __future__ import annotations

import os
from typing import Any

from django.db import connections

from jobqueue.sql.databases import databases, vendor_of

# With several databases: while one is waited for, whoever waits serves none of the others.
_SECONDS = 5
# By each of these a project may say so itself.
_OPTIONS = ("connect_timeout", "service")
_VARIABLES = ("PGCONNECT_TIMEOUT", "PGSERVICE")

# A host that is gone without a word (power, network, firewall) is noticed after 25 s: nothing heard for 10 s,
# then three questions 5 s apart; or as long without an answer to what was sent. The system itself answers, so
# a server that computes for hours, or whose processes are stopped, is not gone. Left alone, Linux asks after
# two hours, and sends again for a quarter of one.
_NOTICING = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_FIRST_WITH_USER_TIMEOUT = 120_000


def limit_connecting_in_this_process() -> None:
    """Where several databases hold jobs, have PostgreSQL take a connection within seconds; for workers.

    The driver waits for minutes. What a project's OPTIONS or the environment say stays as it is.
    """
    served = databases()
    if len(served) < 2 or any(os.environ.get(name) for name in _VARIABLES):
        return
    for using in served:
        options = connections.settings[using]["OPTIONS"]
        if vendor_of(using) == "postgresql" and not any(name in options for name in _OPTIONS):
            _add(using, {"connect_timeout": _SECONDS})


def notice_vanished_hosts_in_this_process() -> None:
    """Have statements fail, as in any outage, within half a minute of when PostgreSQL vanished; for workers.

    A project that says anything of it in OPTIONS, or names a service, has it as it says.
    """
    for using in databases():
        options = connections.settings[using]["OPTIONS"]
        told = [name for name in (*_NOTICING, "keepalives", "service") if name in options]
        if vendor_of(using) == "postgresql" and not told and not os.environ.get("PGSERVICE"):
            _add(using, {name: value for name, value in _NOTICING.items() if _knows(using, name)})


def _add(using: str, options: dict[str, Any]) -> None:
    settings = connections.settings[using]
    settings["OPTIONS"] = {**settings["OPTIONS"], **options}


def _knows(using: str, option: str) -> bool:
    """Whether the library below the driver takes this option; one that does not would take no connection."""
    driver: Any = getattr(connections[using], "Database", None)
    if option != "tcp_user_timeout":
        return True
    version = driver.pq.version() if hasattr(driver, "pq") else getattr(driver, "__libpq_version__", 0)
    return int(version) >= _FIRST_WITH_USER_TIMEOUT
