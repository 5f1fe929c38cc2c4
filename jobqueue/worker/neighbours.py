"""Whether the workers that use our database of Redis are ours: one whose row nobody here keeps alive is not.

Two sites that share a database of Redis take each other's messages. Each drops what its own rows do not know,
so nothing runs at the wrong site, and what was dropped is published again `LOST_AFTER` later. That is slow
and nobody would know why. No name or number tells two databases apart for sure: a copy has those of its
original, and a failover keeps them. Rows do: who gives a sign of life in Redis gives it in its rows as well.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath

from django.db import DatabaseError, InterfaceError, connections
from django.db.models.functions import Now

from jobqueue.broker import neighbours
from jobqueue.broker.neighbours import Heard
from jobqueue.conf import get_settings
from jobqueue.models import Worker
from jobqueue.sql.databases import databases, holds_jobs
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads

logger = logging.getLogger(__name__)

_WARN_EVERY = 60.0
_MOST_NAMED = 3
_MOST_PATIENCE = 30.0
# A copy of a database has the rows of its original's workers, but nobody keeps them alive: so many times
# WORKER_SILENCE later they are none of ours.
_SILENCES = 3


@dataclass(frozen=True, slots=True)
class _Unknown:
    """When a worker without a living row was heard of first."""

    since: float
    """By this process's monotonic clock."""
    moment: float
    """By the clock of Redis."""

    def is_stranger(self, heard: Heard) -> bool:
        """Whether it lives, and has had the time to give a sign of life in its row.

        What a worker that has ended left behind is not heard of again.
        """
        patience = min(get_settings().worker_silence, _MOST_PATIENCE)
        return heard.moment > self.moment and time.monotonic() - self.since >= patience


class Neighbours:
    """Hears of the other workers in Redis, and warns of those that belong to another installation."""

    def __init__(self, worker: Worker, threads: DatabaseThreads = IN_TURN) -> None:
        self._worker, self._threads = worker, threads
        self._unknown: dict[str, _Unknown] = {}
        self._warned = -_WARN_EVERY

    def look(self) -> list[str]:
        """Say that this worker lives, and look who else does; what strangers say of themselves."""
        heard = neighbours.announce(self._worker.pk.hex, description_of(self._worker))
        before, self._unknown = self._unknown, {}  # if the database fails now, nobody is a stranger
        ours = _with_rows({one.id for one in heard}, self._threads)
        if ours is None:
            return []
        unknown = [one for one in heard if one.id not in ours]
        self._unknown = {
            one.id: before.get(one.id) or _Unknown(time.monotonic(), one.moment) for one in unknown
        }
        strangers = sorted({one.description for one in unknown if self._unknown[one.id].is_stranger(one)})
        if strangers:
            self._warn(strangers)
        return strangers

    def _warn(self, strangers: list[str]) -> None:
        named = "; ".join([*strangers[:_MOST_NAMED], *(["others"] if len(strangers) > _MOST_NAMED else [])])
        text = (
            f"Two installations use the queues in this Redis database: {description_of(self._worker)}, and "
            f"{named}. Each runs only its own jobs, but messages go astray and are sent again after "
            f"{get_settings().lost_after:g} seconds. Give each site a Redis database of its own: set another "
            "REDIS_JOB_QUEUE_DB (DB in RQ_QUEUES)."
        )
        neighbours.warn(text)
        if time.monotonic() - self._warned >= _WARN_EVERY:
            self._warned = time.monotonic()
            logger.error(text)


def description_of(worker: Worker) -> str:
    """What a worker says of itself to others: its database and its host, no password."""
    settings = connections[databases()[0]].settings_dict
    name, host = PurePath(str(settings["NAME"])).name, settings.get("HOST") or ""
    return f"the database {name}{f' at {host}' if host else ''} with a worker on {worker.hostname}"


def _with_rows(ids: Iterable[str], threads: DatabaseThreads) -> set[str] | None:
    """Those of these ids that are living workers in a database of this process, served here or not.

    None if a database hangs that could know the others.
    """
    asked: dict[uuid.UUID, str] = {}
    for text in ids:
        with suppress(ValueError):
            asked[uuid.UUID(hex=text)] = text
    found: dict[str, list[uuid.UUID]] = {}

    def ask(using: str) -> None:
        found[using] = _living(using, list(asked))

    # Those that are not served are asked only about workers that are in none of the others.
    for group in (databases(), _others()):
        known = {pk for living in dict(found).values() for pk in living}
        if len(known) < len(asked):
            threads.each(ask, group)
            if not found.keys() >= set(group):
                return None
    return {asked[pk] for living in found.values() for pk in living}


def _living(using: str, ids: list[uuid.UUID]) -> list[uuid.UUID]:
    silence = timedelta(seconds=_SILENCES * get_settings().worker_silence)
    alive = Worker.objects.using(using).filter(pk__in=ids, heartbeat_at__gte=Now() - silence)
    try:
        return list(alive.values_list("pk", flat=True))
    except (DatabaseError, InterfaceError):
        if using in databases():
            raise
        return []  # it is not served here, and may have no tables


def _others() -> list[str]:
    served = databases()
    return [using for using in connections if using not in served and holds_jobs(using)]
