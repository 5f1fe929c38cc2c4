"""Workers hear of each other in Redis, and leave a warning there for all installations that use it."""

from __future__ import annotations

import pytest
import redis

from jobqueue.broker import neighbours
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER


def test_a_worker_hears_of_the_others_and_not_of_itself() -> None:
    assert neighbours.announce(WORKER, "the one") == []
    [heard] = neighbours.announce(OTHER_WORKER, "the other")

    assert (heard.id, heard.description) == (WORKER, "the one")


def test_a_worker_that_goes_on_is_heard_later_than_before() -> None:
    neighbours.announce(WORKER, "the one")
    [before] = neighbours.announce(OTHER_WORKER, "the other")
    neighbours.announce(WORKER, "the one")
    [after] = neighbours.announce(OTHER_WORKER, "the other")

    assert after.moment > before.moment


def test_who_was_silent_for_a_minute_is_forgotten(redis_client: redis.Redis) -> None:
    seconds, _microseconds = redis_client.time()
    redis_client.zadd("rq:jobqueue:alive", {"old": seconds - 61, "of the future": seconds + 1000})

    assert neighbours.announce(WORKER, "the one") == []
    assert redis_client.zcard("rq:jobqueue:alive") == 1


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"", b"\n\x1b[31m", b"x" * 100_000])
def test_what_somebody_else_wrote_among_the_workers_hurts_nobody(
    redis_client: redis.Redis, odd: bytes
) -> None:
    seconds, _microseconds = redis_client.time()
    redis_client.zadd("rq:jobqueue:alive", {odd: seconds})

    [heard] = neighbours.announce(WORKER, "the one")
    assert len(heard.description) <= 200
    assert not heard.description or heard.description.isprintable()


def test_a_warning_is_there_for_a_minute(redis_client: redis.Redis) -> None:
    assert neighbours.warning() == ""
    neighbours.warn("two sites")

    assert neighbours.warning() == "two sites"
    assert 50 <= int(redis_client.ttl("rq:jobqueue:shared")) <= 60


def test_a_warning_that_never_ends_is_none(redis_client: redis.Redis) -> None:
    redis_client.set("rq:jobqueue:shared", "for ever")

    assert neighbours.warning() == ""


def test_a_warning_of_another_type_is_none(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:jobqueue:shared", "no text")
    redis_client.expire("rq:jobqueue:shared", 30)

    assert neighbours.warning() == ""
