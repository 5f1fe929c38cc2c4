"""What a project must be like for its jobs to run: said by `manage.py check`, and by a worker that starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import ERROR, CheckMessage, Error, Warning, register
from django.db import connections

from jobqueue.broker.own import why_no_client
from jobqueue.conf import get_settings
from jobqueue.sql import isolation
from jobqueue.sql.databases import can_serve, databases, vendor_of
from jobqueue.sql.writing import begins_without_the_lock
from jobqueue.values import shown

_OPTIONS = (
    '"OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, '
    '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}'
)
# What says where Redis is, as django-rq reads it: one of these sets of keys.
_PLACES_OF_REDIS = (
    {"URL"},
    {"HOST", "PORT"},
    {"UNIX_SOCKET_PATH", "DB"},
    {"SENTINELS", "MASTER_NAME"},
    {"USE_REDIS_CACHE"},
)


def refusals() -> list[str]:
    """Why this project's jobs cannot be run, in the words of `manage.py check`; empty where they can."""
    found = [message for check in _CHECKS for message in check(None) if message.level >= ERROR]
    return [f"{message.msg}. {message.hint}" for message in found]


def check_time_zone(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Times are moments, whatever the clocks on the wall show."""
    if django_settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is False: a job that is due at a time without a zone has no moment to start",
            hint="Set USE_TZ = True. TIME_ZONE may stay what it is.",
            id="jobqueue.E022",
        )
    ]


def check_clocks_of_databases(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Django writes times on SQLite in the zone of its settings; the clock of SQLite itself shows UTC."""
    if not _are_settings_usable():
        return []
    return [
        Error(
            f"DATABASES[{using!r}] has the TIME_ZONE {zone!r}: its clock shows UTC, so jobs that are due at "
            "a time would start hours too early or too late",
            hint="Remove TIME_ZONE from its settings; the one of the site may stay what it is.",
            id="jobqueue.E025",
        )
        for using in _served()
        if connections[using].vendor == "sqlite"
        and (zone := connections.settings[using]["TIME_ZONE"]) not in (None, "UTC", "Etc/UTC")
    ]


def check_autocommit(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What is written outside of a transaction is committed; nobody else does it for a worker."""
    if not _are_settings_usable():
        return []
    return [
        Error(
            f"DATABASES[{using!r}] has AUTOCOMMIT off: what a worker writes there would never be committed",
            hint="Remove AUTOCOMMIT from its settings.",
            id="jobqueue.E026",
        )
        for using in _served()
        if not connections.settings[using]["AUTOCOMMIT"]
    ]


def check_isolation(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Whoever waits for a row sees it afterwards as it is."""
    if not _are_settings_usable():
        return []
    return [
        Error(isolation.sentence(using, level), hint=isolation.HINT, id="jobqueue.E027")
        for using in _served()
        if (level := isolation.refused_by_settings(using))
    ]


def check_kinds_of_databases(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Claims and counts are written for PostgreSQL and SQLite, and there is one of them."""
    if not _are_settings_usable():
        return []
    if not databases():
        return [
            Error(
                "no database holds the job queue's tables: DATABASES and the routers name none",
                hint="Configure PostgreSQL or SQLite, and let allow_migrate answer True for jobqueue there.",
                id="jobqueue.E023",
            )
        ]
    return [
        Error(
            f"the jobs of the database {using!r} cannot be run: {vendor_of(using)} is not served",
            hint="Keep jobs in PostgreSQL or SQLite, or leave the database out of JOBQUEUE DATABASES.",
            id="jobqueue.E008",
        )
        for using in databases()
        if using in connections and not can_serve(using)
    ]


def check_queues(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every queue says where its Redis is, in a way that django-rq can use; Redis is not asked."""
    queues: Any = getattr(django_settings, "RQ_QUEUES", None)
    if not isinstance(queues, dict):
        return []
    return [
        Error(
            f"RQ_QUEUES[{name!r}] {why}",
            hint='Give it "URL", or "HOST" and "PORT", or another of the ways in django-rq\'s README.',
            id="jobqueue.E024",
        )
        for name, queue in queues.items()
        if (why := _trouble_of_place(queue))
    ]


def _trouble_of_place(queue: Any) -> str:
    if not isinstance(queue, Mapping) or not any(place <= queue.keys() for place in _PLACES_OF_REDIS):
        return "does not say where Redis is"
    port = queue.get("PORT", 6379)
    if not (str(port).isdecimal() and 0 < int(port) <= _LAST_PORT):
        return f"has the PORT {shown(port)}; a port is a number from 1 to {_LAST_PORT}"
    error = why_no_client(queue)
    if error is None:
        return ""
    if "USE_REDIS_CACHE" in queue and "URL" not in queue:
        return "names a cache that gives no connection: USE_REDIS_CACHE is for caches of django-redis"
    # Its text may name a password.
    return f"says where Redis is in a way that redis-py does not take ({type(error).__name__})"


def check_sqlite(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Transactions on SQLite that read and then write need the lock from their beginning."""
    if not _are_settings_usable():
        return []
    return [
        Warning(
            f"a transaction on the SQLite database {using!r} that reads and then enqueues a job may end with "
            "'database is locked'",
            hint=f"Add to DATABASES[{using!r}]: {_OPTIONS}",
            id="jobqueue.W030",
        )
        for using in _served()
        if begins_without_the_lock(using)
    ]


_LAST_PORT = 65_535
_CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    check_time_zone,
    check_clocks_of_databases,
    check_autocommit,
    check_isolation,
    check_kinds_of_databases,
    check_queues,
    check_sqlite,
)
for _check in _CHECKS:
    register(_check, "jobqueue")


def _served() -> list[str]:
    """The databases that are there and can hold jobs; of the others another check tells."""
    return [using for using in databases() if using in connections and can_serve(using)]


def _are_settings_usable() -> bool:
    """Whether JOBQUEUE can be read; what is wrong with it, another check says."""
    try:
        get_settings()
    except Exception:
        return False
    return True
