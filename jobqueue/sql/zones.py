"""Moments of every zone, told to PostgreSQL in UTC.

It reads no offset of 16 hours or more, and none with parts of a second; Python and ISO 8601 know both. Where
Django puts parameters into a statement itself, as it does unless OPTIONS say `server_side_binding`, psycopg
writes a moment with the offset that it has. The moment is the same, so whoever reads it, from a body, an
address, a form, a search or a program, need not think of its zone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db.backends.signals import connection_created


def listen() -> None:
    """Have every connection to PostgreSQL tell moments in UTC, from its beginning."""
    connection_created.connect(_tell_in_utc, dispatch_uid="jobqueue.sql.zones")


def _tell_in_utc(connection: Any, **_: Any) -> None:
    adapters = getattr(connection.connection, "adapters", None)  # psycopg's; no other driver has them
    if connection.vendor != "postgresql" or adapters is None:
        return
    from psycopg.adapt import PyFormat

    # One that the project has chosen itself is left to it. The driver's own has this name in Python and in C.
    chosen = adapters.get_dumper(datetime, PyFormat.TEXT)
    if chosen.__name__ == "DatetimeDumper" and chosen.__module__.startswith("psycopg"):
        usual = adapters.get_dumper(datetime, PyFormat.AUTO)
        adapters.register_dumper(datetime, _dumper())
        # To whoever leaves the form open the last one is given: bytes, which know no zone.
        adapters.register_dumper(datetime, usual)


@cache
def _dumper() -> Any:
    """The class that writes aware moments as text; made here because psycopg need not be installed."""
    from psycopg.types.datetime import DatetimeDumper

    class MomentDumper(DatetimeDumper):
        """The moment in UTC; at the ends of the calendar, where UTC has it not, as it is."""

        def dump(self, obj: datetime) -> Any:
            """The text."""
            try:
                return super().dump(obj.astimezone(UTC))
            except OverflowError:
                return super().dump(obj)

    return MomentDumper
