"""The clients of the Redis servers in use, their time-outs, and the circuit that spares saves a dead one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakSet

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django_rq.connection_utils import get_redis_connection
from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobqueue.broker.own import client_of_our_own, place_of
from jobqueue.broker.refusals import connect_anew_when_refused, what_helps
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable

# A save writes a few jobs; with more than these the caller enqueues in bulk, and Redis gets longer.
FEW = 50
_MANY_TIMES = 25

Item = TypeVar("Item")
Server = TypeVar("Server")


_made: WeakSet[Redis] = WeakSet()


# Two threads that ask at once get the same client: what is asked once of each server goes by it.
_making = threading.Lock()


def _client(place: str, purpose: str) -> Redis:
    with _making:
        return _client_at(place, purpose)


@lru_cache(maxsize=64)
def _client_at(place: str, purpose: str) -> Redis:
    settings = get_settings()
    client = client_of_our_own(get_redis_connection(_configs()[place]))
    if purpose in ("publish", "publish many"):
        # A save waits for this: no second try, the relay is the second try. Redis needs longer for many.
        answer_timeout = settings.publish_timeout * (1 if purpose == "publish" else _MANY_TIMES)
        limits: dict[str, Any] = {
            "socket_timeout": answer_timeout,
            "socket_connect_timeout": settings.publish_timeout,
            "retry": Retry(NoBackoff(), 0),
        }
    elif purpose == "probe":
        limits = {
            "socket_timeout": settings.health_timeout / 2,
            "socket_connect_timeout": settings.health_timeout / 2,
            "retry": Retry(NoBackoff(), 0),
        }
    else:
        limits = {
            "socket_timeout": settings.redis_timeout,
            "socket_connect_timeout": settings.redis_timeout,
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
            "health_check_interval": 30,
        }
    client.connection_pool.connection_kwargs.update(limits)
    client.set_retry(limits["retry"])
    _made.add(client)
    return connect_anew_when_refused(client)


# Of processes that forked this one: what is deleted would wait for locks that no thread here ever lets go.
_inherited: set[Redis] = set()


def _begin_anew() -> None:
    """In a process that was forked: clients of its own, and not a word on the sockets of its parent.

    A site may have used them before its server forks (gunicorn --preload).
    """
    global _making
    _making = threading.Lock()  # a thread of the parent may have held it
    for client in list(_made):
        _inherited.add(client)
        pool = client.connection_pool
        with suppress(Exception):  # pools of other kinds keep no such lists
            for connection in (*pool._available_connections, *pool._in_use_connections):
                connection.disconnect()
    _forget_clients()


def _configs() -> dict[str, dict[str, Any]]:
    """The settings of each database of Redis in use: of queues that name the same, those of the first."""
    found: dict[str, dict[str, Any]] = {}
    for config in django_settings.RQ_QUEUES.values():
        found.setdefault(_place(config), config)
    return found


_places: dict[str, str] = {}


def _place(config: Mapping[str, Any]) -> str:
    """As `place_of`, asked once: a probe looks every queue up."""
    text = _config_text(config)
    if text not in _places:
        _places[text] = place_of(config)
    return _places[text]


# What of a queue's settings is about the queue and not about its Redis.
_QUEUE_KEYS = frozenset({"ASYNC", "DEFAULT_TIMEOUT", "DEFAULT_RESULT_TTL", "QUEUE_CLASS", "SERIALIZER"})


def _config_text(config: Mapping[str, Any]) -> str:
    return repr(sorted((key, value) for key, value in config.items() if key not in _QUEUE_KEYS))


@lru_cache(maxsize=256)
def client_for(queue: str, purpose: str = "work") -> Redis:
    """The Redis client of a queue for a purpose: "work", "publish", "publish many" or "probe" (health)."""
    return _client(_place(django_settings.RQ_QUEUES[queue]), purpose)


def clients(purpose: str) -> list[Redis]:
    return [_client(place, purpose) for place in _configs()]


def by_server(
    items: Iterable[Item], queue_of: Callable[[Item], str], purpose: str = "work"
) -> Iterator[tuple[Redis, list[Item]]]:
    """The items, which belong to queues, by the Redis server that has their queue; in the order given."""
    groups: dict[Redis, list[Item]] = {}
    by_queue: dict[str, list[Item]] = {}
    for item in items:
        queue = queue_of(item)
        if queue not in by_queue:
            by_queue[queue] = groups.setdefault(client_for(queue, purpose), [])
        by_queue[queue].append(item)
    yield from groups.items()


@contextmanager
def as_unavailable() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}{what_helps(error)}") from error


def queues_beside(queues: Iterable[str]) -> set[str]:
    """All queues that are on the servers of these."""
    servers = {client_for(queue) for queue in queues}
    return {queue for queue in django_settings.RQ_QUEUES if client_for(queue) in servers}


def answers_of(servers: Iterable[Server], ask: Callable[[Server], list[Item]]) -> list[Item]:
    """What all servers answer together: one that is away keeps no other from it. Raises if none answers."""
    found: list[Item] = []
    errors: list[BrokerUnavailable] = []
    count = 0
    for server in servers:
        count += 1
        try:
            with as_unavailable():
                found += ask(server)
        except BrokerUnavailable as error:
            errors.append(error)
    if errors and len(errors) == count:
        raise errors[0]
    return found


def on_each(servers: Iterable[Server], step: Callable[[Server], int]) -> int:
    """The sum of what the step did on each server; one that is away keeps no other from its own.

    Raises BrokerUnavailable, after all, if one was away.
    """
    done = 0
    first: BrokerUnavailable | None = None
    for server in servers:
        try:
            with as_unavailable():
                done += step(server)
        except BrokerUnavailable as error:
            first = first or error
    if first is not None:
        raise first
    return done


class Circuit:
    """After Redis failed to answer a save, saves leave it alone for a moment."""

    def __init__(self) -> None:
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Around what a save asks of Redis: refused while the circuit is open, which a failure opens."""
        if self.is_open:
            raise BrokerUnavailable("Redis did not answer a moment ago")
        try:
            yield
        except BrokerUnavailable:
            self.open()
            raise

    def open(self) -> None:
        self._open_until = time.monotonic() + get_settings().publish_pause

    def close(self) -> None:
        self._open_until = 0.0


circuit = Circuit()


def _forget_clients() -> None:
    _client_at.cache_clear()
    _places.clear()
    client_for.cache_clear()


def _begin_with_other_settings(*, setting: str, **_: Any) -> None:
    if setting in ("RQ_QUEUES", "JOBQUEUE"):
        _forget_clients()
        circuit.close()


setting_changed.connect(_begin_with_other_settings, dispatch_uid="jobqueue.broker.connections")
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_begin_anew)
