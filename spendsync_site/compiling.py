"""PostgreSQL interprets this site's statements in one process, and compiles none of them.

Its compiler (`jit`) takes what it expects to be long, such as a search that may read 100,000 jobs. To compile
one took 200 ms of 340, to run it 130 (among 1.2 million jobs).

Its parallel workers read on for a row of their own when the page has all of its rows: "completed jobs of an
hour" took 550 ms with them and 120 to 190 without; 20 other pages took the same but for a tenth either way.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_SAID = "SELECT set_config('jit', 'off', false), set_config('max_parallel_workers_per_gather', '0', false)"


def compile_nothing() -> None:
    """From now on each new connection to PostgreSQL says so."""
    connection_created.connect(_say_so, dispatch_uid="spendsync_site.compiling")


def _say_so(connection: BaseDatabaseWrapper, **_: Any) -> None:
    # Not among the connection's OPTIONS: poolers refuse those.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_SAID)
