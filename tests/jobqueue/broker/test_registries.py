"""RQ's picture of what started: what Redis does not know any more, and what a lost worker left."""

from __future__ import annotations

import django_rq
import redis

from jobqueue.broker import queues, registries
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER, claim, claimed, messages, unknown
from tests.jobqueue.steps import QUEUES


def test_a_queued_message_is_known() -> None:
    queues.publish(messages(1))

    assert unknown(1) == []


def test_a_message_that_was_never_published_is_unknown() -> None:
    assert unknown(1) == ["1-1"]


def test_after_a_flush_every_message_is_unknown(redis_client: redis.Redis) -> None:
    queues.publish(messages(1, 2))
    redis_client.flushall()

    assert unknown(1, 2) == ["1-1", "2-1"]


def test_a_message_whose_list_was_deleted_is_unknown(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    redis_client.delete("rq:queue:email")

    assert unknown(1) == ["1-1"]


def test_a_message_emptied_by_rqs_own_tools_is_unknown() -> None:
    queues.publish(messages(1))
    django_rq.get_queue("email").empty()

    assert unknown(1) == ["1-1"]


def test_a_message_that_a_living_worker_has_just_claimed_is_known() -> None:
    claimed(1)

    assert unknown(1) == []


def test_a_message_that_a_silent_worker_claimed_is_unknown() -> None:
    claimed(1)

    assert unknown(1, alive=(OTHER_WORKER,)) == ["1-1"]
    assert unknown(1, alive=()) == ["1-1"]


def test_a_message_that_a_living_worker_claimed_long_ago_without_a_trace_in_its_row_is_unknown(
    redis_client: redis.Redis,
) -> None:
    # The claim's answer, or the database, was lost: the worker does not know of it.
    claimed(1)
    redis_client.hset("rq:job:1-1", "claimed_at", int(redis_client.time()[0]) - 3600)

    assert unknown(1) == ["1-1"]


def test_a_finished_message_whose_row_still_waits_is_unknown() -> None:
    [message] = claimed(1)
    queues.finish([(message, True)], WORKER)

    assert unknown(1) == ["1-1"]


def test_only_the_unknown_are_told_apart() -> None:
    queues.publish(messages(1, 3))

    assert unknown(1, 2, 3, 4) == ["2-1", "4-1"]


def test_a_claimed_message_found_unknown_can_be_published_and_claimed_again() -> None:
    claimed(1)
    queues.publish(registries.unknown(messages(1), []))

    assert claim(worker=OTHER_WORKER) == ["1-1"]


def test_what_a_lost_worker_left_in_rqs_registries_goes_and_nothing_else(redis_client: redis.Redis) -> None:
    queues.publish([*messages(1, 2), *messages(3, queue="reminders")])
    queues.claim(("email",), 1, OTHER_WORKER, "other")
    queues.claim(QUEUES, 10, WORKER, "worker")

    assert registries.forget_worker(WORKER) == 2
    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"1-1:{OTHER_WORKER}".encode()]
    assert redis_client.zcard("rq:wip:reminders") == 0


def test_a_worker_that_left_nothing_can_be_forgotten() -> None:
    assert registries.forget_worker(WORKER) == 0
