"""The test servers themselves: every process has a Redis and databases of its own."""

from collections.abc import Callable

import pytest
import redis
from django.conf import settings
from django.db import connections

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.servers import subprocess_environment


def test_settings_point_at_the_redis_of_this_process(redis_server: RedisServer) -> None:
    assert settings.RQ_QUEUES["email"]["PORT"] == redis_server.port


def test_redis_is_empty_at_the_start_of_a_test(redis_client: redis.Redis) -> None:
    assert redis_client.dbsize() == 0
    redis_client.set("left", "behind")  # whichever of the two runs second would find it


def test_redis_is_empty_at_the_start_of_the_next_test(redis_client: redis.Redis) -> None:
    assert redis_client.dbsize() == 0
    redis_client.set("left", "behind")


@pytest.mark.django_db(databases=["default", "other"])
def test_a_subprocess_is_told_the_test_databases() -> None:
    environment = subprocess_environment()

    assert str(connections["default"].settings_dict["NAME"]) in environment["DATABASE_URL"]
    assert str(connections["other"].settings_dict["NAME"]) in environment["OTHER_DATABASE_URL"]


def test_a_private_redis_comes_back_on_its_port_with_its_data(
    private_redis: Callable[..., RedisServer],
) -> None:
    server = private_redis(persistent=True)
    with redis.Redis(host=server.host, port=server.port) as client:
        client.set("kept", "yes")
        server.stop()
        server.start()
        assert client.get("kept") == b"yes"


def test_a_paused_redis_answers_once_resumed(
    private_redis: Callable[..., RedisServer],
) -> None:
    server = private_redis()
    with redis.Redis(host=server.host, port=server.port, socket_timeout=0.1, retry=None) as client:
        client.ping()
        server.pause()
        with pytest.raises(redis.exceptions.TimeoutError):
            client.ping()
        server.resume()
        assert client.ping()


def test_the_blackhole_takes_connections_and_never_answers(blackhole: tuple[str, int]) -> None:
    host, port = blackhole
    with (
        redis.Redis(host=host, port=port, socket_timeout=0.1, retry=None) as client,
        pytest.raises(redis.exceptions.TimeoutError),
    ):
        client.ping()


def test_a_worker_is_ready_and_ends_in_order(worker_process: StartWorker) -> None:
    worker = worker_process()

    assert worker.is_running()
    assert worker.stop() == 0
