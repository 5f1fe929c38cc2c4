"""Which job this thread runs, for processors that need to know."""

from __future__ import annotations

from contextlib import AbstractContextManager
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


def running(job: Job, database: str) -> AbstractContextManager[None]:
    """Make `job` the current job of the block."""
    return _Running((job, database))


class _Running(AbstractContextManager[None]):
    __slots__ = ("_job", "_token")

    def __init__(self, job: tuple[Job, str]) -> None:
        self._job = job

    def __enter__(self) -> None:
        self._token = _current.set(self._job)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
