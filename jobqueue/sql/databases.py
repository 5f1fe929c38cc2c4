"""Which databases hold jobs that are served here, and how a step is taken in each though one is away."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable, DatabaseUnavailable
from jobqueue.sql.replicas import is_configured, replicas

OUTAGES = (BrokerUnavailable, DatabaseUnavailable, DatabaseError, InterfaceError)
# What the statements and the triggers are written for.
_VENDORS = ("postgresql", "sqlite")
_OTHERS = ("mysql", "oracle", "dummy")


def databases() -> list[str]:
    """The aliases whose jobs are served: those that hold the job queue's tables and are written through.

    A replica is another way to read what one of them holds; its jobs are run where they are written.
    """
    named = get_settings().databases
    if named:
        found = list(named)
    else:
        read_only = replicas()
        found = [using for using in connections if using not in read_only and holds_jobs(using)]
    return [using for using in found if using not in _left_out] if _left_out else found


# What this worker leaves alone: nothing that it waits for would help there.
_left_out: set[str] = set()


def leave_out(using: str) -> None:
    """Serve the jobs of this database no more, in this process and those that it forks."""
    _left_out.add(using)


def is_left_out(using: str) -> bool:
    """Whether the jobs of this database are none of this process's business."""
    return using in _left_out


def holds_jobs(using: str) -> bool:
    """Whether the job queue's tables are there, as the settings and the routers say."""
    return is_configured(using) and bool(router.allow_migrate_model(using, apps.get_model("jobqueue", "Job")))


def can_serve(using: str) -> bool:
    """Whether jobs can be served there; `check` refuses other kinds of databases that are to be."""
    return vendor_of(using) in _VENDORS


def vendor_of(using: str) -> str:
    """What kind of database it is. Of those that are not served no driver is loaded: it may not be there."""
    kind = str(connections.settings[using]["ENGINE"]).rpartition(".")[2]
    return kind if kind in _OTHERS else connections[using].vendor


def for_each_database(step: Callable[[str], object], among: Iterable[str] | None = None) -> None:
    """Take the step in every database, or in these; one that is away does not keep the others from theirs.

    Raises the first error, after all.
    """
    for error in not_served(step, among).values():
        raise error


def not_served(step: Callable[[str], object], among: Iterable[str] | None = None) -> dict[str, Exception]:
    """Take the step in every database, or in these; the errors of those that are away, by alias."""
    errors: dict[str, Exception] = {}
    for using in databases() if among is None else among:
        try:
            step(using)
        except OUTAGES as error:
            errors[using] = error
    return errors


def in_each_database(step: Callable[[str], object]) -> None:
    """Take the step in every database, for a person who waits for it.

    Raises DatabaseUnavailable after all, which names those that are away.
    """
    errors = not_served(step)
    if errors:
        told = (
            f"the database {using!r} was not served: {_in_words(error)}" for using, error in errors.items()
        )
        raise DatabaseUnavailable("; ".join(told)) from next(iter(errors.values()))


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def close_broken_connections(asked: str | None = None) -> None:
    """Drop this thread's database connections that failed, so that the next use opens new ones.

    With `asked` only that database is asked whether it still answers: another may hang, and is none of the
    caller's business now.
    """
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and _is_broken(connection, asked):
            connection.close()


def _is_broken(connection: BaseDatabaseWrapper, asked: str | None) -> bool:
    if connection.errors_occurred:
        return True
    if asked is None or connection.alias == asked or connection.vendor != "postgresql":
        return not connection.is_usable()
    return _is_hung_up(connection.connection)


def _is_hung_up(raw: Any) -> bool:
    """Whether a server said anything on a connection that was idle: only that it ends it."""
    if raw.closed:
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    return bool(poll.poll(0))
