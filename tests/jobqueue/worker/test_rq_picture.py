"""What RQ knows of a worker, as far as no real worker shows it at will."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
import rq
from django_rq.workers import get_worker
from rq.command import send_shutdown_command

from jobqueue.worker import rq_picture
from jobqueue.worker.board import Totals
from jobqueue.worker.rq_picture import RQPicture
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import wait_until
from tests.jobqueue.clocks import Clock

IDLE = Totals(running=0, completed=0, failed=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rq_picture, "time", clock)
    return clock


def an_rq_worker(name: str = "worker-1") -> Any:
    """One of RQ's own, on our queues."""
    return get_worker("email", worker_class=rq.Worker, name=name)


def known(connection: redis.Redis) -> list[str]:
    """The workers that RQ knows."""
    return [worker.name for worker in rq.Worker.all(connection=connection)]


def test_a_worker_appears_and_disappears(redis_client: redis.Redis) -> None:
    picture = RQPicture(an_rq_worker())

    assert picture.appear()
    assert known(redis_client) == ["worker-1"]
    picture.disappear()
    assert known(redis_client) == []


def test_the_name_of_a_silent_worker_is_free_after_its_silence(
    redis_client: redis.Redis, clock: Clock
) -> None:
    dead = an_rq_worker()
    dead.register_birth()
    picture = RQPicture(an_rq_worker())

    tries = []
    for _ in range(3):
        tries.append(picture.appear())
        clock.now += 10

    assert tries == [False, False, True]
    assert known(redis_client) == ["worker-1"]


def test_the_name_of_a_worker_that_lives_is_not_taken(redis_client: redis.Redis, clock: Clock) -> None:
    living = an_rq_worker()
    living.register_birth()
    picture = RQPicture(an_rq_worker())
    assert not picture.appear()

    living.heartbeat()

    with pytest.raises(ValueError, match="There exists an active worker named 'worker-1' already"):
        picture.appear()


def test_the_name_of_a_worker_that_ended_in_order_is_free_at_once(redis_client: redis.Redis) -> None:
    ended = an_rq_worker()
    ended.register_birth()
    ended.register_death()

    assert RQPicture(an_rq_worker()).appear()


def test_state_and_counts_are_told(redis_client: redis.Redis) -> None:
    picture = RQPicture(an_rq_worker())
    picture.appear()

    picture.report(Totals(running=2, completed=5, failed=1))

    (found,) = rq.Worker.all(connection=redis_client)
    assert (found.get_state(), found.successful_job_count, found.failed_job_count) == ("busy", 5, 1)


def test_without_news_only_the_heartbeat_is_told(redis_client: redis.Redis, clock: Clock) -> None:
    picture = RQPicture(an_rq_worker())
    picture.appear()
    picture.report(IDLE)
    redis_client.hset("rq:worker:worker-1", "state", "changed by the test")

    def state_after_report() -> str:
        picture.report(IDLE)
        (found,) = rq.Worker.all(connection=redis_client)
        return str(found.get_state())

    before_its_time = state_after_report()
    clock.now += 5
    at_its_time = state_after_report()

    assert (before_its_time, at_its_time) == ("changed by the test", "idle")


def test_a_worker_that_redis_forgot_appears_again(redis_client: redis.Redis) -> None:
    picture = RQPicture(an_rq_worker())
    picture.appear()
    redis_client.flushall()

    picture.report(IDLE)

    assert known(redis_client) == ["worker-1"]


def test_rqs_shutdown_command_is_heard(redis_client: redis.Redis) -> None:
    picture = RQPicture(an_rq_worker())
    picture.report(IDLE)
    before = picture.is_told_to_shut_down

    redis_client.publish("rq:pubsub:worker-1", "no command")
    send_shutdown_command(redis_client, "worker-1")

    def is_heard() -> bool:
        picture.report(IDLE)
        return picture.is_told_to_shut_down

    wait_until(is_heard)
    assert not before


def test_without_redis_the_worker_goes_on(
    private_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = private_redis()
    connection = redis.Redis(host=server.host, port=server.port)
    picture = RQPicture(rq.Worker(["email"], name="worker-1", connection=connection))
    server.stop()

    with caplog.at_level(logging.WARNING, logger="jobqueue.worker"):
        assert picture.appear()
    picture.report(IDLE)
    picture.disappear()

    assert "RQ does not know of this worker yet" in caplog.text
