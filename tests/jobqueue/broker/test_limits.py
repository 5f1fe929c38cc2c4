"""The limits of queues at the claim: starts in a second, and jobs that run at once."""

from __future__ import annotations

from collections.abc import Callable

import redis

from jobqueue.broker import queues
from jobqueue.broker.limits import QueueLimits, count_late_starts
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER, messages
from tests.jobqueue.steps import QUEUES


def _claim_within(limits: QueueLimits, count: int = 10, free: int | None = None) -> queues.Taken:
    return queues.claim(QUEUES, count, WORKER, "worker", {"email": limits}, free)


def _rate_is_known(redis_client: redis.Redis, queue: str = "email") -> None:
    """The record of the last starts is there, and they are long ago."""
    redis_client.lpush(f"rq:jobqueue:starts:{queue}", 0)


def test_a_rate_limit_lets_so_many_start_in_a_second(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1, 2, 3, 4, 5))

    assert len(_claim_within(QueueLimits(rate=2)).messages) == 2
    assert _claim_within(QueueLimits(rate=2)).messages == []


def test_a_claim_says_when_the_rate_limit_lets_the_next_go(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1, 2))
    _claim_within(QueueLimits(rate=1))

    pause = _claim_within(QueueLimits(rate=1)).pause
    assert pause is not None
    assert 1.0 < pause <= 1.1


def test_a_claim_that_got_less_than_it_could_take_says_when_the_rate_limit_lets_the_next_go(
    redis_client: redis.Redis,
) -> None:
    seconds, microseconds = redis_client.time()
    now = seconds * 1000 + microseconds // 1000
    redis_client.rpush("rq:jobqueue:starts:email", now - 500, 0)
    queues.publish(messages(1, 2))

    taken = _claim_within(QueueLimits(rate=2))
    assert len(taken.messages) == 1
    assert taken.pause is not None
    assert 0 < taken.pause <= 0.6


def test_a_claim_that_got_all_there_is_waits_for_no_limit(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1, 2))

    assert _claim_within(QueueLimits(rate=2)).pause is None


def test_a_rate_limit_holds_over_any_second_and_not_by_the_second_on_the_clock(
    redis_client: redis.Redis,
) -> None:
    seconds, microseconds = redis_client.time()
    half_a_second_ago = seconds * 1000 + microseconds // 1000 - 500
    redis_client.rpush("rq:jobqueue:starts:email", half_a_second_ago, 0, 0)
    queues.publish(messages(1, 2, 3, 4))

    assert len(_claim_within(QueueLimits(rate=3)).messages) == 2


def test_a_lost_record_of_starts_counts_as_a_second_just_used_up() -> None:
    queues.publish(messages(1))
    taken = _claim_within(QueueLimits(rate=100))

    assert taken.messages == []
    assert taken.pause is not None
    assert taken.pause > 0.5


def test_a_record_of_starts_from_the_future_counts_as_lost(redis_client: redis.Redis) -> None:
    in_an_hour = (redis_client.time()[0] + 3600) * 1000
    redis_client.lpush("rq:jobqueue:starts:email", in_an_hour)
    queues.publish(messages(1))

    pause = _claim_within(QueueLimits(rate=1)).pause
    assert pause is not None
    assert pause < 2


def test_late_starts_count_from_when_they_came(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1, 2, 3))
    count_late_starts({"email": (2, 3)})

    assert len(_claim_within(QueueLimits(rate=3)).messages) == 1


def test_a_rate_of_zero_lets_none_start(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1))

    assert _claim_within(QueueLimits(rate=0)).messages == []


def test_a_limited_queue_does_not_hold_up_the_next(redis_client: redis.Redis) -> None:
    queues.publish([*messages(1), *messages(2, queue="reminders")])

    taken = _claim_within(QueueLimits(rate=0))
    assert [message.queue for message in taken.messages] == ["reminders"]


def test_a_concurrency_limit_counts_what_all_workers_run() -> None:
    queues.publish(messages(1, 2, 3, 4))
    queues.claim(QUEUES, 1, OTHER_WORKER, "other")

    assert len(_claim_within(QueueLimits(concurrency=3)).messages) == 2
    assert _claim_within(QueueLimits(concurrency=3)).messages == []


def test_a_job_that_ends_lets_the_next_go(bell: Callable[[float], bool]) -> None:
    queues.publish(messages(1, 2))
    [first] = _claim_within(QueueLimits(concurrency=1)).messages
    assert bell(5)
    assert _claim_within(QueueLimits(concurrency=1)).messages == []
    assert not bell(0.01)

    queues.finish([(first, True)], WORKER)
    assert bell(5)
    assert len(_claim_within(QueueLimits(concurrency=1)).messages) == 1


def test_of_a_limited_queue_no_more_is_taken_than_can_start_at_once(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(messages(1, 2, 3, 4))

    assert len(_claim_within(QueueLimits(rate=100), count=10, free=1).messages) == 1
