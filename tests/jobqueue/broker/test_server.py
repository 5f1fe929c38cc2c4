"""A Redis that is only asked stays as it is; one that is away is told of in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from jobqueue.broker import counters, queues, registries, server
from jobqueue.broker.bell import Bell
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.worker.loops import WakePipe
from tests.jobqueue.broker.steps import WORKER, claim, claimed, messages, unknown
from tests.jobqueue.steps import QUEUES


def _state(redis_client: redis.Redis) -> dict[bytes, Any]:
    """Everything in Redis, as it could be restored."""
    keys: list[bytes] = redis_client.keys("*")  # type: ignore[assignment]
    return {key: redis_client.dump(key) for key in keys}


def test_reading_changes_nothing(redis_client: redis.Redis) -> None:
    claimed(1)
    queues.publish(messages(2))
    queues.finish([], WORKER, {"a": 1})
    before = _state(redis_client)

    counters.read()
    server.ping()
    unknown(1, 2, 3)

    assert _state(redis_client) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda: queues.publish(messages(1)),
        lambda: queues.publish(messages(1), hurry=True),
        lambda: claim(),
        lambda: Bell(QUEUES).wait(0.01, WakePipe().fileno()),
        lambda: queues.finish([], WORKER, {"a": 1}),
        lambda: unknown(1),
        lambda: registries.forget_worker(WORKER),
        lambda: counters.read(),
        lambda: server.ping(),
    ],
)
def test_without_redis_every_call_says_so_in_one_way(redis_closed: object, call: Callable[[], Any]) -> None:
    with pytest.raises(BrokerUnavailable, match="ConnectionError"):
        call()
