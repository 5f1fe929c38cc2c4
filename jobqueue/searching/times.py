"""Times as people type them: `2h` ago, a day, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.db.models import Value
from django.db.models.functions import Now
from django.utils import timezone

ALLOWED_TIMES: Final = "30s, 15min, 2h, 3d, 2w, 2026-10-17, 2026-10-17T14:22"

_AGE = re.compile(r"(\d{1,6})(s|min|h|d|w)", re.ASCII)
_UNITS: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST = timedelta(days=36_500)
# At the ends of the calendar not every zone has the moment, and no job is there.
_YEARS = range(1900, 2201)


def as_moment(text: str, now: datetime) -> str:
    """The moment that `text` names as one that stays, to the second: what was an age is told from `now`."""
    age = _AGE.fullmatch(text)
    if not age:
        return text
    moment = now.astimezone(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def moment_at(text: str, now: datetime) -> datetime | None:
    """The moment that `text` names, as a value, by what is now; None if it names none."""
    age = _AGE.fullmatch(text)
    if not age:
        return _moment(text)
    length = timedelta(**{_UNITS[age[2]]: int(age[1])})
    return now - length if length <= _MOST else None


def time_from(text: str) -> Any | None:
    """The moment that `text` names, as an expression for the database; None if it names none.

    What is so long ago is by the database's clock; a day begins in the current time zone.
    """
    age = _AGE.fullmatch(text)
    if age:
        length = timedelta(**{_UNITS[age[2]]: int(age[1])})
        return Now() - length if length <= _MOST else None
    moment = _moment(text)
    return None if moment is None else Value(moment)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        day = date.fromisoformat(text) if len(text) == len("2026-10-17") else None
        if moment.year not in _YEARS or (day is None and "T" not in text):
            return None
        return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    except ValueError:
        return None
