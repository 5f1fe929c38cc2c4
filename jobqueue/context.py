"""Which job this thread runs, for processors that need to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from jobqueue.models import Job

_current: ContextVar[tuple[Job, str] | None] = ContextVar("jobqueue_current_job", default=None)


def current_job() -> Job | None:
    """The job that runs in this thread; None outside a processor."""
    running = _current.get()
    return running[0] if running else None


def current_database() -> str | None:
    """The alias of the database that the running job came from; None outside a processor."""
    running = _current.get()
    return running[1] if running else None


@contextmanager
def running(job: Job, database: str) -> Iterator[None]:
    """Make `job` the current job."""
    token = _current.set((job, database))
    try:
        yield
    finally:
        _current.reset(token)
