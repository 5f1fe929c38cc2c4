"""Statements that give up after a time instead of waiting for locks without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction


@contextmanager
def limited(using: str, seconds: float) -> Iterator[None]:
    """Around reads: on PostgreSQL each statement, on SQLite each wait for a lock takes at most so long.

    The connection is afterwards as it was before.
    """
    connection = connections[using]
    milliseconds = max(1, int(seconds * 1000))
    if connection.vendor == "postgresql":
        with transaction.atomic(using=using), connection.cursor() as cursor:
            # LOCAL: it ends with the transaction, also where a pooler hands the session on.
            cursor.execute(f"SET LOCAL statement_timeout = {milliseconds}")
            yield
        return
    # Past Django, which would take for questions what is only set, in this process.
    connection.ensure_connection()
    driver = connection.connection
    before = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(before)}")
