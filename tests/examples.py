"""How many examples a property is tried with, on either database.

New ones are drawn in each run. Where all properties have been tried on SQLite, as in CI, the other database
is tried with fewer: what differs there are statements, and a few stories meet each of them.
"""

from __future__ import annotations

from tests.integration.postgresql import ON_POSTGRESQL

SHARE = 3
"""One of so many is tried on PostgreSQL."""


def examples(on_sqlite: int) -> int:
    """As many on SQLite, a third of them on PostgreSQL."""
    return max(1, on_sqlite // SHARE) if ON_POSTGRESQL else on_sqlite
