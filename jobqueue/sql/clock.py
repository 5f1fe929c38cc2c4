"""The clock that decides what is due: the database's, never a host's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.db import connections

# What the clock shows in a test that says what time it is.
_pretended: datetime | None = None


def database_now(using: str) -> datetime:
    """What the clock of that database shows, as an aware datetime."""
    if _pretended is not None:
        return _pretended
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "sqlite":
            cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
            return datetime.fromisoformat(cursor.fetchone()[0] + "+00:00")
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def about_now() -> datetime:
    """What this host's clock shows, for judgements in which seconds do not matter: it asks no database."""
    return _pretended or datetime.now(UTC)


@contextmanager
def pretend(moment: datetime) -> Iterator[None]:
    """Inside the block `database_now` answers this moment, in this process. For tests alone."""
    global _pretended
    before, _pretended = _pretended, moment
    try:
        yield
    finally:
        _pretended = before
