"""The counters: a batch of outcomes counts once."""

from __future__ import annotations

import redis

from jobqueue.broker import counters, queues
from tests.jobqueue.broker.steps import WORKER, claimed, messages


def test_counters_add_up() -> None:
    queues.finish([], WORKER, {"a": 1, "b": 0.5})
    queues.finish([], WORKER, {"a": 2})

    assert counters.read() == {"a": 3, "b": 0.5}


def test_a_batch_counts_once_however_often_it_is_told() -> None:
    [message] = claimed(1)
    for _ in range(3):
        queues.finish([(message, True)], WORKER, {"a": 1}, "batch")

    assert counters.read() == {"a": 1}


def test_another_batch_counts_for_itself() -> None:
    queues.finish([], WORKER, {"a": 1}, "one")
    queues.finish([], WORKER, {"a": 1}, "two")

    assert counters.read() == {"a": 2}


def test_counters_of_a_batch_of_several_queues_count_once() -> None:
    of_two_queues = [*messages(1), *messages(2, queue="reminders")]
    queues.finish([(message, True) for message in of_two_queues], WORKER, {"a": 1})

    assert counters.read() == {"a": 1}


def test_the_mark_of_a_batch_does_not_stay_for_ever(redis_client: redis.Redis) -> None:
    queues.finish([], WORKER, {"a": 1}, "batch")

    assert redis_client.ttl("rq:jobqueue:batch:batch-0") > 0
