"""Steps that the tests of the broker share."""

from __future__ import annotations

from jobqueue.broker import queues, registries
from jobqueue.broker.message import Message
from tests.jobqueue.steps import QUEUES

WORKER, OTHER_WORKER = "a" * 32, "b" * 32


def messages(*ids: int, queue: str = "email") -> list[Message]:
    """The messages of the first attempts of jobs with these ids."""
    return [Message(queue, number, 1, description="sample.succeed", timeout=30) for number in ids]


def claim(count: int = 10, names: tuple[str, ...] = QUEUES, worker: str = WORKER) -> list[str]:
    """The ids of the messages that a worker gets."""
    return [message.id for message in queues.claim(names, count, worker, "worker").messages]


def claimed(*ids: int) -> list[Message]:
    """Messages of these jobs that a worker has just claimed."""
    queues.publish(messages(*ids))
    return queues.claim(QUEUES, len(ids), WORKER, "worker").messages


def unknown(*ids: int, alive: tuple[str, ...] = (WORKER,)) -> list[str]:
    """The ids of those messages of these jobs that Redis does not know, while these workers live."""
    return [message.id for message in registries.unknown(messages(*ids), alive)]
