"""The clock that decides what is due: the database's, never a host's."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connections

_SAMPLES = 16
# Seconds by which a clock that is put right little by little may fall behind between two answers.
_SLEWED = 0.1
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


def shown_then(moment: datetime) -> datetime:
    """What the clock showed where a statement that asked for other things brought its time along."""
    return _pretended or moment


def about_now() -> datetime:
    """What this host's clock shows, for judgements in which seconds do not matter: it asks no database."""
    return _pretended or datetime.now(UTC)


# By database: by how much its clock is ahead of this process's monotonic one, and when that was found out.
_seen: dict[str, tuple[float, float]] = {}
# For so many seconds the one tells what the other shows: a clock that is set is followed within that time.
_SEEN_LATELY = 30.0


def about_shown(using: str) -> float:
    """What the clock of that database shows, in seconds since the epoch, to some milliseconds.

    It asks the database twice a minute at most.
    """
    if _pretended is not None:
        return _pretended.timestamp()
    now = time.monotonic()
    lead, found_at = _seen.get(using, (0.0, -math.inf))
    if now - found_at > _SEEN_LATELY:
        shown = database_now(using).timestamp()
        now = time.monotonic()
        lead = shown - now
        _seen[using] = lead, now
    return lead + now


class StepBack(NamedTuple):
    """A clock shows less than it did."""

    seconds: float
    would_show: datetime
    """What it would show now, had it gone on."""


@dataclass
class DatabaseClock:
    """The database's clock, as this process can tell it without asking, and whether it stepped back.

    Each answer was right at some moment before it arrived, so the latest of these estimates is still not
    ahead of the database: what is due by it is due there.
    """

    using: str
    _leads: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES), init=False)

    def ask(self) -> StepBack | None:
        """Ask the database for its time; whether it stepped back since."""
        asked_at = time.monotonic()
        moment = database_now(self.using).timestamp()
        answered_at = time.monotonic()
        before = max(self._leads, default=-math.inf)
        # It cannot have been asked later than that, and would show at least this.
        least = before + asked_at
        is_step = moment < least - _SLEWED
        if is_step:
            self._leads.clear()
        self._leads.append(moment - answered_at)
        return StepBack(least - moment, datetime.fromtimestamp(least, UTC)) if is_step else None

    def monotonic(self, moment: float) -> float:
        """The monotonic time at which the database's clock shows `moment`, in seconds since the epoch."""
        return moment - max(self._leads)


@contextmanager
def pretend(moment: datetime) -> Iterator[None]:
    """Inside the block `database_now` answers this moment, in this process. For tests alone."""
    global _pretended
    before, _pretended = _pretended, moment
    try:
        yield
    finally:
        _pretended = before
