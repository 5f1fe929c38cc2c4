"""Clients of our own, to places that a project's clients tell of.

`USE_REDIS_CACHE` in RQ_QUEUES hands out the very client of a cache, and a pool may be given in
`REDIS_CLIENT_KWARGS`. Our time-outs and tries are none of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_rq.connection_utils import get_redis_connection
from redis import ConnectionPool, Redis
from redis.sentinel import SentinelConnectionPool

# What a pool adds to the arguments of its connections, about itself.
_OF_THE_POOL = frozenset({"connection_pool", "event_dispatcher", "himport_registry"})
_BEGINNINGS_OF_THE_POOL = ("maint_notifications_", "orig_")


def why_no_client(config: Mapping[str, Any]) -> Exception | None:
    """What keeps django-rq from making a client of these settings of a queue; no Redis is asked."""
    try:
        get_redis_connection(dict(config))
    except Exception as error:
        return error
    return None


def place_of(config: Mapping[str, Any]) -> str:
    """Which database of which Redis these settings name; the settings themselves if they are odd."""
    try:
        client = get_redis_connection(dict(config))
    except Exception:
        return repr(sorted(config.items()))
    sentinels = getattr(getattr(client.connection_pool, "sentinel_manager", None), "sentinels", ())
    return " ".join([address_of(client), *sorted(address_of(sentinel) for sentinel in sentinels)])


def address_of(client: Redis) -> str:
    """Where a client's Redis is, with the number of its database; no user and no password."""
    where = client.connection_pool.connection_kwargs
    database = where.get("db") or 0
    if path := where.get("path"):
        return f"{path} database {database}"
    if service := getattr(client.connection_pool, "service_name", None):
        return f"{service} (by its sentinels) database {database}"
    return f"{where.get('host', 'localhost')}:{where.get('port', 6379)} database {database}"


def client_of_our_own(client: Redis) -> Redis:
    """Another client of the same Redis, with a pool that nobody else has; the given one stays as it is."""
    return Redis.from_pool(_pool_like(client.connection_pool))


def _pool_like(pool: Any) -> ConnectionPool:
    arguments = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name not in _OF_THE_POOL and not name.startswith(_BEGINNINGS_OF_THE_POOL)
    }
    # What a cache has decoded for it we read as it is.
    arguments["decode_responses"] = False
    kind = pool.connection_class
    if not isinstance(pool, SentinelConnectionPool):
        # How many connections the project allows itself is no limit of ours.
        return ConnectionPool(connection_class=kind, **arguments)
    return SentinelConnectionPool(
        pool.service_name,
        pool.sentinel_manager,
        connection_class=kind,
        is_master=pool.is_master,
        check_connection=pool.check_connection,
        **arguments,
    )
