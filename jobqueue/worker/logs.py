"""Loggers that never fail whoever writes to them: handlers, filters and record factories are the project's.

Python lets what a filter raises, and some of what a handler raises, pass through to who logs. A worker would
end by that, and with it the jobs beside; an outcome would be written twice, or not at all.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from functools import wraps
from typing import Any

from jobqueue.exceptions import JobStopped, JobTimeout
from jobqueue.signals import is_interrupt

_OURS = "jobqueue"
_OF_RQ = "rq.worker"
_told: set[str] = set()


def harden() -> None:
    """Let none of our loggers raise, of those that there are by now: what it lost goes to standard error."""
    for name in list(logging.root.manager.loggerDict):
        if name == _OF_RQ or name.split(".")[0] == _OURS:
            _harden(logging.getLogger(name))


def _harden(logger: logging.Logger) -> None:
    log: Any = logger._log
    if hasattr(log, "never_raises"):
        return

    @wraps(log)
    def log_or_tell(*values: Any, stacklevel: int = 1, **more: Any) -> None:
        try:
            log(*values, stacklevel=stacklevel + 1, **more)
        except (JobTimeout, JobStopped):
            raise  # it is meant for the job that logs
        except BaseException as error:
            if is_interrupt(error):
                raise
            _tell(logger.name, error)

    log_or_tell.never_raises = True  # type: ignore[attr-defined]
    logger._log = log_or_tell  # type: ignore[method-assign]


def _tell(name: str, error: BaseException) -> None:
    kind = f"{name}: {type(error).__name__}"
    if kind in _told:
        return
    _told.add(kind)
    with suppress(Exception):
        sys.stderr.write(
            f"jobqueue: a filter or handler of the logger {name!r} raised {type(error).__name__}; "
            "such records are lost, and nothing else is\n"
        )
