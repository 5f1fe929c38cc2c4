"""Producer for this project's own worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import django

from benchmarks.work.body import PADDING


class SpendSyncClient:
    """Enqueues through `jobqueue.jobs`: a row for each job."""

    def __init__(self) -> None:
        from jobqueue import jobs

        self._jobs = jobs

    def add(self, work: str, number: int) -> None:
        """One INSERT, one push."""
        name, payload = _request(work, number)
        self._jobs.enqueue(name, **payload)

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """One transaction, one push."""
        self._jobs.enqueue_many(_request(work, number) for number in numbers)

    def add_at(self, work: str, number: int, due: float) -> None:
        """One INSERT; the relay publishes it at its time."""
        name, payload = _request(work, number)
        self._jobs.enqueue(name, run_at=datetime.fromtimestamp(due, UTC), **payload)


def _request(work: str, number: int) -> tuple[str, dict[str, Any]]:
    if work == "email":
        from benchmarks.site.emails import payload_of

        return "email.notification", payload_of(number)
    return "benchmark.run", {"work": work, "number": number, "padding": PADDING}


def client() -> SpendSyncClient:
    """The client of a process of its own."""
    django.setup()
    return SpendSyncClient()
