"""Moments that the database's own clock writes: on SQLite in other digits than a program that read them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Func, Value
from django.db.models.functions import Now


def ahead_by_its_clock(length: timedelta) -> Any:
    """So long after what the database's clock shows, for an update; with a negative length before it."""
    if connection.vendor != "sqlite":
        return Now() + length
    shift = Value(f"{length.total_seconds():+.3f} seconds")
    form = Value("%Y-%m-%d %H:%M:%f")
    return Func(form, Value("now"), shift, function="strftime", output_field=DateTimeField())
