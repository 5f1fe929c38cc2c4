"""Which errors of a project's databases say "try again": it is away, busy, or in the middle of a conflict.

Only what comes from a connection of `DATABASES` counts: Django raises its own error there, from the driver's.
What somebody's own `sqlite3` file, HTTP client or Redis raises is about that.
"""

from __future__ import annotations

import sqlite3

from django.db import Error, connections

from jobqueue.exceptions import BrokerUnavailable, Discard
from jobqueue.sql.databases import databases
from jobqueue.sql.refusals import setting_that_helps

# PostgreSQL's classes: connections; memory, disk and connections used up.
_CLASSES = ("08", "53")
_STATES = frozenset(
    {
        *("40001", "40003", "40P01", "55P03"),  # serialization, a commit without an answer, deadlock, locks
        *("57P01", "57P02", "57P03", "57P05"),  # shut down, crashed, starting up, hung up on who was idle
        "58030",  # its disk does not answer
    }
)
_READ_ONLY = "25006"
# SQLite's primary codes: busy, locked, no memory, the disk does not answer, full, cannot be opened, locking
# protocol.
_OF_SQLITE = frozenset({5, 6, 7, 10, 13, 14, 15})
# How far an error's causes are followed.
_MOST_CAUSES = 10


def is_outage(error: BaseException) -> bool:
    """Whether this, or what it was raised `from`, says that our stores cannot be used for now.

    Not what it was raised beside (`__context__`): who handles an outage and fails at something else failed.
    """
    if isinstance(error, Discard) or not isinstance(error, Exception):
        return False
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            break
        if isinstance(cause, BrokerUnavailable) or (isinstance(cause, Error) and _passes(cause.__cause__)):
            return True
        cause = cause.__cause__
    return False


def _passes(driver: BaseException | None) -> bool:
    """Whether what the driver said may be over with time."""
    if isinstance(driver, sqlite3.Error):
        return getattr(driver, "sqlite_errorcode", 0) & 0xFF in _OF_SQLITE
    if driver is None or not type(driver).__module__.startswith("psycopg"):
        return False
    state = getattr(driver, "sqlstate", None)
    if state == _READ_ONLY:
        return _was_writable()
    if state:
        return state in _STATES or state.startswith(_CLASSES)
    return _is_of_connection(driver)


def _is_of_connection(driver: BaseException) -> bool:
    """Without a code: the server was not reached or has gone, or the code used the driver wrongly."""
    kinds = {kind.__name__ for kind in type(driver).__mro__}
    if "OperationalError" in kinds:
        return not setting_that_helps(driver)
    text = str(driver)
    return "InterfaceError" in kinds and "connection" in text and "closed" in text


def _was_writable() -> bool:
    """Whether the databases that this thread had trouble with are those that jobs are claimed in, so that a
    refused write comes of a failover; of a replica it would come for ever.
    """
    troubled = [c.alias for c in connections.all(initialized_only=True) if c.errors_occurred]
    return bool(troubled) and set(troubled) <= set(databases())
