"""What the health endpoints say, whoever renders it: numbers only, no names, hosts or versions."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobqueue.monitoring import health


class Answer(NamedTuple):
    """A body that is to become JSON, and its HTTP status."""

    body: dict[str, Any]
    status: int


def queues() -> Answer:
    """The queues' counts and UP, or DOWN with 503 when Redis or the database cannot be reached."""
    state = health.check_queues()
    return Answer(state.as_dict(), 200 if state.is_up else 503)


def live() -> Answer:
    """This process answers. Touches neither Redis nor the database."""
    return Answer({"status": health.UP}, 200)


def ready() -> Answer:
    """Redis and the database answer, so this process can serve; else DOWN with 503."""
    is_ready = health.is_ready()
    return Answer({"status": health.UP if is_ready else health.DOWN}, 200 if is_ready else 503)
