"""Dramatiq: application and producer."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.work import body

dramatiq.set_broker(RedisBroker(url=f"redis://127.0.0.1:{os.environ['BENCHMARK_REDIS_PORT']}/3"))


@dramatiq.actor(actor_name="run")
def run(work: str, number: int, padding: str) -> None:
    """The benchmark's job."""
    body.run(work, number, padding)


class DramatiqClient:
    """Enqueues with `send`; Dramatiq has no bulk call."""

    def add(self, work: str, number: int) -> None:
        """One message."""
        run.send(work, number, body.PADDING)

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """One by one."""
        for number in numbers:
            self.add(work, number)

    def add_at(self, work: str, number: int, due: float) -> None:
        """A message with a delay in milliseconds."""
        run.send_with_options(
            args=(work, number, body.PADDING), delay=max(0, round(1000 * (due - time.time())))
        )


def client() -> DramatiqClient:
    """The client of a process of its own."""
    return DramatiqClient()
