"""Celery: application and producer. Late acknowledgement, as this project's worker has it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from celery import Celery

from benchmarks.work import body

app = Celery("benchmark", broker=f"redis://127.0.0.1:{os.environ['BENCHMARK_REDIS_PORT']}/3")
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="run")
def run(work: str, number: int, padding: str) -> None:
    """The benchmark's job."""
    body.run(work, number, padding)


class CeleryClient:
    """Enqueues with `delay`; Celery has no bulk call."""

    def add(self, work: str, number: int) -> None:
        """One message."""
        run.delay(work, number, body.PADDING)

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """One by one."""
        for number in numbers:
            self.add(work, number)

    def add_at(self, work: str, number: int, due: float) -> None:
        """A message with an estimated time of arrival."""
        run.apply_async((work, number, body.PADDING), eta=datetime.fromtimestamp(due, UTC))


def client() -> CeleryClient:
    """The client of a process of its own."""
    return CeleryClient()
