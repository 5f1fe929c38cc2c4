"""What was set aside as pages that follow each other: rows of each database, then what each Redis keeps.

Each place is one of a database's rows or one of what a server of Redis keeps; a store that does not answer
has none, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from django.db import DatabaseError, InterfaceError

from jobqueue.admin.keyed_pages import KeyedPage, KeyedPages, Part, Place
from jobqueue.broker import keys, set_aside
from jobqueue.broker.connections import clients
from jobqueue.broker.set_aside import SetAside
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.sql.databases import databases

Away = Callable[[str, Exception], None]
"""Told of a store that does not answer: the database's name, or nothing for Redis."""


@dataclass(frozen=True, slots=True)
class InRedis:
    """A message or key that the server of that number keeps."""

    server: int
    known: SetAside


class SetAsidePages(KeyedPages):
    """The pages of all that was set aside; of each kind and store the latest first."""

    def __init__(self, away: Away, size: int) -> None:
        jobs = [_OfDatabase(using, away) for using in databases()]
        servers = list(enumerate(clients("probe")))
        kept = [_OfRedis(*server, kind, away) for kind in keys.ASIDE_KINDS for server in servers]
        super().__init__([*jobs, *kept], size)  # type: ignore[list-item]

    def _numbered(self, number: int) -> KeyedPage:
        """The first: these pages never had numbers."""
        return self._after(None)


class _OfDatabase(Part):
    """The rows of one database."""

    def __init__(self, using: str, away: Away) -> None:
        part = Part.of(Job.objects.using(using).set_aside().order_by("-pk"))
        assert part is not None
        super().__init__(part.rows, part.columns)
        self.using, self.away = using, away

    def beside(self, place: Place | None, *, backwards: bool = False) -> Any:
        """The rows behind a place, or before it from there on."""
        rows = super().beside(place, backwards=backwards)

        def read(most: int) -> list[Job]:
            try:
                return list(rows[:most])
            except (DatabaseError, InterfaceError) as error:
                self.away(self.using, error)
                return []

        return _Read(read)


class _OfRedis:
    """What one server keeps of one kind; by when it was set aside, and its name."""

    def __init__(self, server: int, client: Any, kind: str, away: Away) -> None:
        self.server, self.client, self.kind, self.away = server, client, kind, away
        self.columns = (_Score, _Name)

    def place_of(self, number: int, row: InRedis, *, before: bool = False) -> Place:
        """The place beside this one, where this part is the one of that number."""
        return Place(number, (row.known.score, row.known.name), before)

    def beside(self, place: Place | None, *, backwards: bool = False) -> Any:
        """What is behind a place, or before it from there on."""
        at = None if place is None else (float(place.values[0]), str(place.values[1]))

        def read(most: int) -> list[InRedis]:
            try:
                found = set_aside.beside(self.client, self.kind, at, most, backwards=backwards)
            except BrokerUnavailable as error:
                self.away("", error)
                return []
            return [InRedis(self.server, known) for known in found]

        return _Read(read)


class _Score:
    @staticmethod
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ValueError
        return float(value)


class _Name:
    @staticmethod
    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.isascii():
            raise ValueError
        return value


class _Read:
    """Rows that are read when it is known how many are wanted."""

    def __init__(self, read: Callable[[int], Sequence[Any]]) -> None:
        self._read = read

    def __getitem__(self, wanted: slice) -> Sequence[Any]:
        return self._read(wanted.stop)
