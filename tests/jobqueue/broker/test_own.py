"""A client or pool that belongs to the project is never changed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django_rq.workers import get_worker
from redis.sentinel import Sentinel

from jobqueue.broker.connections import client_for
from jobqueue.broker.own import client_of_our_own
from jobqueue.worker.supervisor import SupervisorWorker
from spendsync_site.demo.redis_server import RedisServer
from tests.servers import REDIS_DATABASE

PURPOSES = ["work", "publish", "publish many", "probe"]


def _pool(server: RedisServer, **options: Any) -> redis.BlockingConnectionPool:
    return redis.BlockingConnectionPool(
        host=server.host, port=server.port, db=REDIS_DATABASE, max_connections=2, **options
    )


def _of_a_cache(
    project: redis.Redis, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """As django-redis does it, which hands out the one client that a cache has."""
    module = ModuleType("django_redis")
    module.get_redis_connection = lambda _alias: project  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django_redis", module)
    return {"USE_REDIS_CACHE": "default"}


def _of_a_given_pool(project: redis.Redis, *_: object) -> dict[str, Any]:
    return {"HOST": "", "PORT": 0, "REDIS_CLIENT_KWARGS": {"connection_pool": project.connection_pool}}


def _looks(client: redis.Redis) -> dict[str, Any]:
    pool: Any = client.connection_pool
    return {
        "arguments": dict(pool.connection_kwargs),
        "class": pool.connection_class,
        "connections": list(pool._connections),
        "retry": client.get_retry(),
    }


@pytest.mark.parametrize("config_of", [_of_a_cache, _of_a_given_pool])
def test_neither_our_clients_nor_a_worker_change_the_pool_of_the_project(
    redis_server: RedisServer,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    config_of: Callable[..., dict[str, Any]],
) -> None:
    project = redis.Redis(connection_pool=_pool(redis_server, socket_timeout=123))
    project.set("key of the project", "value")
    before = _looks(project)
    settings.RQ_QUEUES = {"email": config_of(project, settings, monkeypatch)}

    ours = [client_for("email", purpose) for purpose in PURPOSES]
    worker = get_worker("email", worker_class=SupervisorWorker, name="worker-1")

    assert [client.get("key of the project") for client in (*ours, worker.connection)] == [b"value"] * 5
    assert _looks(project) == before
    pools = {id(client.connection_pool) for client in (project, worker.connection, *ours)}
    assert len(pools) == 6


def test_a_client_of_our_own_asks_the_same_sentinels() -> None:
    project = Sentinel([("127.0.0.1", 1)], password="secret").master_for("main", db=3)
    before = dict(project.connection_pool.connection_kwargs)

    ours = client_of_our_own(project).connection_pool

    assert (ours.service_name, ours.connection_kwargs["db"]) == ("main", 3)
    assert ours.connection_kwargs["connection_pool"] is not before["connection_pool"]
    assert project.connection_pool.connection_kwargs == before
