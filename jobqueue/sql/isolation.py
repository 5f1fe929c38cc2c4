"""Which isolation PostgreSQL's transactions have: claims and unique keys are written for READ COMMITTED.

There whoever waited for a row sees it as it is by then. From REPEATABLE READ on he gets an error (40001)
instead: an `enqueue(unique_key=…)` beside another one of the key would fail its caller's transaction.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import connections

_LEVELS = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE"}
# PostgreSQL's READ UNCOMMITTED is READ COMMITTED.
_ALLOWED = frozenset({"", "READ UNCOMMITTED", "READ COMMITTED"})
_IN_OPTIONS = re.compile(
    r"default_transaction_isolation\s*=\s*['\"]?((?:[a-z]+(?:\\?[ _-])?)+)", re.IGNORECASE
)
HINT = (
    "Keep READ COMMITTED, PostgreSQL's default: remove isolation_level and default_transaction_isolation "
    "from OPTIONS, from the role and from the database. A transaction that needs more says so itself, with "
    "SET TRANSACTION ISOLATION LEVEL."
)


def refused_by_settings(using: str) -> str:
    """The isolation that the OPTIONS ask for, if jobs cannot be served with it; else empty."""
    if connections[using].vendor != "postgresql":
        return ""
    given = connections.settings[using].get("OPTIONS") or {}
    level = given.get("isolation_level")
    found = [_name_of(level)] if level is not None else []
    if match := _IN_OPTIONS.search(str(given.get("options") or "")):
        found.append(_name_of(re.sub(r"\W+", " ", match[1])))
    return next((name for name in found if name not in _ALLOWED), "")


def refused_by_server(using: str) -> str:
    """The isolation that the server gives sessions, if jobs cannot be served with it; else empty."""
    if connections[using].vendor != "postgresql":
        return ""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_setting('default_transaction_isolation')")
        name = _name_of(cursor.fetchone()[0])
    return "" if name in _ALLOWED else name


def sentence(using: str, level: str) -> str:
    """What people are told, before the hint."""
    return f"the transactions of the database {using!r} are {level}, with which jobs cannot be served"


def _name_of(level: Any) -> str:
    """Its name in SQL; psycopg's levels are numbers."""
    number = getattr(level, "value", level)
    return _LEVELS.get(number, str(level)) if isinstance(number, int) else str(level).strip().upper()
