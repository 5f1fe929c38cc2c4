"""Which databases hold jobs that are served here, and how a step is taken in each though one is away."""

from __future__ import annotations

from collections.abc import Callable

from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections, router

from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable

OUTAGES = (BrokerUnavailable, DatabaseError, InterfaceError)
# What the statements and the triggers are written for.
_VENDORS = ("postgresql", "sqlite")


def databases() -> list[str]:
    """The aliases whose jobs are served: those that hold the job queue's tables."""
    aliases = get_settings().databases or tuple(
        using for using in connections if router.allow_migrate_model(using, apps.get_model("jobqueue", "Job"))
    )
    return list(aliases)


def can_serve(using: str) -> bool:
    """Whether jobs can be served there; `check` refuses other kinds of databases that are to be."""
    return connections[using].vendor in _VENDORS


def for_each_database(step: Callable[[str], object]) -> None:
    """Take the step in every database; one that is away does not keep the others from theirs.

    Raises the first error, after all.
    """
    first: Exception | None = None
    for using in databases():
        try:
            step(using)
        except OUTAGES as error:
            first = first or error
    if first is not None:
        raise first


def close_broken_connections() -> None:
    """Drop this thread's database connections that failed, so that the next use opens new ones."""
    for connection in connections.all(initialized_only=True):
        is_open = connection.connection is not None
        if is_open and (connection.errors_occurred or not connection.is_usable()):
            connection.close()
