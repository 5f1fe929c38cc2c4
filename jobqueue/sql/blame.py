"""Whether one row may have brought an error about, or the trouble is the database's."""

from __future__ import annotations

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
)

from jobqueue.exceptions import BrokerUnavailable

# PostgreSQL's classes of errors: data, constraints, too large, raised by a trigger, damaged on the disk. All
# others are of the connection, of locks, of space, of rights, of the schema or of the transaction.
_OF_A_ROW = ("22", "23", "54", "P0", "XX")
# SQLite has no number for it: a text that is none.
_NO_TEXT_ON_SQLITE = "decode to UTF-8"


def may_be_of_a_row(error: BaseException) -> bool:
    """Whether a row can raise this by what stands in it.

    Never for an outage, a lock, a full disk, a refused write, a missing table or column. Whether it is this
    row's alone shows only where the same step works for another.
    """
    if not isinstance(error, Exception) or isinstance(error, BrokerUnavailable | MemoryError):
        return False
    if not isinstance(error, DatabaseError | InterfaceError):
        return True
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate:
        return str(sqlstate).startswith(_OF_A_ROW)
    if isinstance(error, InterfaceError | NotSupportedError):
        return False
    return isinstance(error, DataError | IntegrityError) or _NO_TEXT_ON_SQLITE in str(error)
