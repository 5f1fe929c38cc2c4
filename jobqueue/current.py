"""Which job this thread, or this coroutine, runs; and what that job says of itself."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar

from jobqueue.models import Job
from jobqueue.progress import progress_of

_current: ContextVar[tuple[Job, str] | None] = ContextVar("jobqueue_current_job", default=None)


def current_job() -> Job | None:
    """The job that runs in this thread; None outside a processor."""
    running = _current.get()
    return running[0] if running else None


def current_database() -> str | None:
    """The alias of the database that the running job came from; None outside a processor."""
    running = _current.get()
    return running[1] if running else None


def report_progress(
    done: float | None = None, total: float | None = None, *, share: float | None = None, text: str = ""
) -> None:
    """Say how far the running job is: `report_progress(120, 500)`, or `share=0.24`, and a few words.

    The pages and the API show the last that it said, until the run ends. A call costs a few microseconds
    and waits for nobody: it is kept in memory, from where the worker tells Redis once a second. It is lost
    with its worker, and is no part of the job's row, so nothing may depend on it. `text` stands in Redis:
    no names, amounts or addresses belong there.

    More than `total` counts as all, and a text is cut after 100 characters; without a `total` only the
    number is shown. Raises InvalidProgress for what is no number of 0 or more. Outside a job it does nothing;
    nor in a thread that the processor started itself, unless that runs in a copy of its context, as
    `asyncio.to_thread` has it do.
    """
    progress = progress_of(done, total, share, text)
    running = _current.get()
    if running is not None:
        running[0].progress = progress


def running(job: Job, using: str) -> AbstractContextManager[None]:
    """Make `job` the current job of the block."""
    return _Running((job, using))


class _Running(AbstractContextManager[None]):
    __slots__ = ("_job", "_token")

    def __init__(self, job: tuple[Job, str]) -> None:
        self._job = job

    def __enter__(self) -> None:
        self._token = _current.set(self._job)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
