"""Bells: who is woken, and by what."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from jobqueue.broker import queues
from jobqueue.broker.bell import Bell
from jobqueue.worker.loops import WakePipe
from tests.jobqueue.broker.steps import claim, messages
from tests.jobqueue.steps import QUEUES


def test_a_bell_rings_for_whoever_waits(bell: Callable[[float], bool]) -> None:
    queues.publish(messages(1))

    assert bell(5)


def test_without_a_message_no_bell_rings(bell: Callable[[float], bool]) -> None:
    assert not bell(0.01)


def test_a_wait_for_a_bell_can_be_interrupted() -> None:
    listening, wake = Bell(QUEUES), WakePipe()
    wake.wake()
    started = time.monotonic()

    assert not listening.wait(30, wake.fileno())
    assert time.monotonic() - started < 5
    listening.leave()


def test_a_bell_that_was_left_rings_for_the_next(bell: Callable[[float], bool]) -> None:
    first, wake = Bell(QUEUES), WakePipe()
    assert not first.wait(0.01, wake.fileno())
    first.leave()
    queues.publish(messages(1))

    assert bell(5)


def test_a_wait_goes_on_where_the_last_one_ended(bell: Callable[[float], bool]) -> None:
    assert not bell(0.01)
    queues.publish(messages(1))

    assert bell(5)


def test_a_bell_rings_once_for_many_messages(redis_client: redis.Redis) -> None:
    queues.publish(messages(1, 2, 3))
    queues.publish(messages(4))

    assert redis_client.llen("rq:jobqueue:bell:email") == 1


def test_who_leaves_messages_behind_rings_for_the_next(bell: Callable[[float], bool]) -> None:
    queues.publish(messages(1, 2))
    bell(5)
    claim(1)

    assert bell(5)


def test_who_leaves_nothing_behind_does_not_ring(bell: Callable[[float], bool]) -> None:
    queues.publish(messages(1, 2))
    bell(5)
    claim(2)

    assert not bell(0.01)
