"""What a project may add to its logging and signals that raises, whatever it is told."""

from __future__ import annotations

import logging
import os
from typing import Any, NoReturn

from jobqueue import signals

ERRORS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit)
}
"""By name, what `WORKLOAD_LISTENERS_RAISE` and a handler's `error` may say."""


class RaisingHandler(logging.Handler):
    """Raises for every record."""

    def __init__(self, error: str) -> None:
        super().__init__()
        self._error = ERRORS[error]

    def emit(self, record: logging.LogRecord) -> NoReturn:
        """Raise."""
        raise self._error("a handler of the project")


class RaisingFilter(logging.Filter):
    """Raises for every record."""

    def __init__(self, error: str) -> None:
        super().__init__()
        self._error = ERRORS[error]

    def filter(self, record: logging.LogRecord) -> NoReturn:
        """Raise."""
        raise self._error("a filter of the project")


def logging_with(kind: str, error: str) -> dict[str, Any]:
    """Django's LOGGING with a handler or a filter that raises behind one that writes to standard error."""
    console = {"class": "logging.StreamHandler"}
    handlers: dict[str, Any] = {"console": console, "unruly": {"class": "logging.NullHandler"}}
    filters: dict[str, Any] = {}
    if kind == "handler":
        handlers["unruly"] = {"()": "tests.workload.unruly.RaisingHandler", "error": error}
    else:
        filters["unruly"] = {"()": "tests.workload.unruly.RaisingFilter", "error": error}
        handlers["unruly"] = console | {"filters": ["unruly"]}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": filters,
        "handlers": handlers,
        "root": {"level": "INFO", "handlers": ["console", "unruly"]},
    }


def connect() -> None:
    """Connect listeners that raise, if the environment names their error."""
    name = os.environ.get("WORKLOAD_LISTENERS_RAISE")
    if not name:
        return
    error = ERRORS[name]

    def listener(**_: Any) -> NoReturn:
        raise error("a listener of the project")

    for signal in (
        signals.job_enqueued,
        signals.job_started,
        signals.job_completed,
        signals.job_retried,
        signals.job_failed,
        signals.job_rescued,
    ):
        signal.connect(listener, weak=False, dispatch_uid="workload.unruly")
