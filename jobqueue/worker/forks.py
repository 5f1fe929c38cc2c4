"""What a job forks: it begins without what is the executor's, and never comes back into its loops."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from jobqueue.worker.options import STOP_SIGNALS
from jobqueue.worker.processes import run_and_end

logger = logging.getLogger(__name__)

_is_expected = False
_is_fork = False
# The connections of all threads: after a fork only the thread that forked is there to ask for its own.
_opened: WeakSet[BaseDatabaseWrapper] = WeakSet()
# What a fork must neither use nor close: both would talk to the server in its parent's name.
_inherited: list[Any] = []


def expect() -> None:
    """From now on, whatever this process forks begins without its signals' handlers and connections."""
    global _is_expected
    _is_expected = True


def end_if_fork(error: BaseException | None = None) -> None:
    """End a fork that came back out of its job, as Python would have ended it: with this error, or none.

    In the executor's loops it would run its jobs, and settle them, a second time.
    """
    if _is_fork:
        run_and_end(lambda: _code_of(error))


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if error is None:
        logger.warning("the process %d, forked by a job, came back out of it and ends here", os.getpid())
        return 0
    logger.error("the process %d, forked by a job, failed and ends here", os.getpid(), exc_info=error)
    return 1


def _begin() -> None:
    """In a process that was just forked."""
    global _is_expected, _is_fork
    if not _is_expected:
        return
    _is_expected, _is_fork = False, True
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    for wrapper in list(_opened):
        _leave(wrapper)
    for using in connections:
        with suppress(AttributeError):  # not opened by this thread
            del connections[using]


def _leave(wrapper: BaseDatabaseWrapper) -> None:
    raw = wrapper.connection
    if raw is None:
        return
    _inherited.append(raw)
    wrapper.connection = None
    with suppress(Exception):  # SQLite has no socket; the driver may say that it is closed
        _replace(raw.fileno())


def _replace(number: int) -> None:
    """Put nothing in the place of an open file: closing it would leave its number to another."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


def _note(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _opened.add(connection)


connection_created.connect(_note, dispatch_uid="jobqueue.worker.forks")
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_begin)
