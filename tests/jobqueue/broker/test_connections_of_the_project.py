"""A client that a project keeps for itself, in a cache that a queue shares, stays as it is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.conf import LazySettings
from django.core.cache.backends.dummy import DummyCache
from redis import Redis

from jobqueue.broker import server
from jobqueue.broker.connections import client_for
from jobqueue.broker.own import client_of_our_own


class CacheOnRedis(DummyCache):
    """As third parties make them: the client is the cache's, and decodes what it reads."""

    _client: ClassVar[Any] = None


@pytest.fixture
def cache_client(redis_client: Redis, settings: LazySettings) -> Redis:
    """The client of a cache that the queue `email` shares."""
    place = redis_client.connection_pool.connection_kwargs
    client = Redis(host=place["host"], port=place["port"], db=place["db"], decode_responses=True)
    CacheOnRedis._client = client
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.CacheOnRedis"}}
    settings.RQ_QUEUES = {"email": {"USE_REDIS_CACHE": "default"}}
    return client


def test_the_client_of_a_cache_that_a_queue_shares_is_not_changed(cache_client: Redis) -> None:
    before = dict(cache_client.connection_pool.connection_kwargs)
    for purpose in ("work", "publish", "probe"):
        client_for("email", purpose).ping()
    server.ping("probe")
    assert cache_client.connection_pool.connection_kwargs == before


def test_our_client_reads_bytes_whatever_the_projects_does(cache_client: Redis) -> None:
    cache_client.set("jobqueue:test", "x")
    assert client_for("email").get("jobqueue:test") == b"x"
    assert cache_client.get("jobqueue:test") == "x"


def test_a_client_of_our_own_has_a_pool_of_its_own(redis_client: Redis) -> None:
    own = client_of_our_own(redis_client)
    assert own.connection_pool is not redis_client.connection_pool
    assert own.ping()
