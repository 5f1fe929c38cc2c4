"""Tells Redis what the threads of one executor run, and how far that says it is. No job pays for it.

Once a second it looks at what runs, and writes one text for all of it, if there is news: so a job that
reports its progress ten thousand times a second costs Redis what any other long one does. What ends within
a second is left out: nobody could read it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from jobqueue.broker import running
from jobqueue.broker.running import Run
from jobqueue.masking import mask_addresses
from jobqueue.progress import Progress
from jobqueue.worker.threads import JobThreads

LOOK_EVERY = 1.0
_TELL_AGAIN = running.KEEP / 3


class RunningJobs:
    """What one executor tells of its runs."""

    def __init__(self, worker_id: str, threads: JobThreads) -> None:
        self._worker_id, self._threads = worker_id, threads
        self._told = ""
        self._tell_again = 0.0

    def look(self) -> float:
        """Look once. Returns the seconds until the next look."""
        text = running.as_text(self._runs())
        now = time.monotonic()
        if text != self._told or (text and now >= self._tell_again):
            running.tell(self._worker_id, text)
            self._told, self._tell_again = text, now + _TELL_AGAIN
        return LOOK_EVERY

    def _runs(self) -> list[Run]:
        return [
            Run(str(job._state.db), job.pk, job.attempt, thread, _masked(job.progress))
            for thread, job, seconds in self._threads.running()
            if seconds >= LOOK_EVERY or job.progress is not None
        ]


def _masked(progress: Progress | None) -> Progress | None:
    if progress is None or not progress.text:
        return progress
    return replace(progress, text=mask_addresses(progress.text))
