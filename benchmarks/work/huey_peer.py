"""Huey: application and producer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from huey import RedisHuey

from benchmarks.work import body

huey = RedisHuey(
    "benchmark", host="127.0.0.1", port=int(os.environ["BENCHMARK_REDIS_PORT"]), db=3, results=False
)


@huey.task(name="run")
def run(work: str, number: int, padding: str) -> None:
    """The benchmark's job."""
    body.run(work, number, padding)


class HueyClient:
    """Enqueues by calling the task; Huey has no bulk call."""

    def add(self, work: str, number: int) -> None:
        """One message."""
        run(work, number, body.PADDING)

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """One by one."""
        for number in numbers:
            self.add(work, number)

    def add_at(self, work: str, number: int, due: float) -> None:
        """A scheduled message."""
        run.schedule((work, number, body.PADDING), eta=datetime.fromtimestamp(due, UTC))


def client() -> HueyClient:
    """The client of a process of its own."""
    return HueyClient()
