"""Bells in Redis: a worker waits for one without polling, and can be left at any moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from django.conf import settings as django_settings
from redis.exceptions import ResponseError

from jobqueue.broker import keys, strange_keys
from jobqueue.broker.connections import as_unavailable, circuit, client_for, clients
from jobqueue.broker.sockets import readable
from jobqueue.conf import get_settings

# Seconds after which Redis answers a blocking pop in any case, so that a dead connection is noticed.
_BELL_ANSWERS_WITHIN = 10
_ORDERS_LAST = 10


class Bell:
    """Waits for a bell in Redis without polling, and can be left at any moment.

    A blocking pop stands open on a connection of its own; the wait is for an answer on its socket. So the
    time-out is this process's own, to the microsecond: Redis wakes blocked clients only ten times a second.
    Not safe for several threads.
    """

    def __init__(self, names: Sequence[str], *, queue: str | None = None) -> None:
        self.names = tuple(names)
        self._keys = [keys.bell(name) for name in names]
        self._client = client_for(queue or names[0])
        self._connection: Any = None
        self._armed_at = 0.0

    def wait(self, timeout: float, wake: int) -> bool:
        """Return at the latest after `timeout` seconds, or once `wake`, a file, can be read. Did it ring?"""
        with as_unavailable():
            try:
                if self._connection is None:
                    self._arm()
                return self._wait(timeout, wake)
            except ResponseError:
                self.leave()
                # What is no bell is set aside, and whoever waits looks without one.
                if not strange_keys.set_aside(self._client, dict.fromkeys(self._keys, "list")):
                    raise
                return False
            except BaseException:
                self.leave()
                raise

    def leave(self) -> None:
        """Stop listening: Redis gives the next ring to somebody else."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _arm(self) -> None:
        self._connection = self._client.connection_pool.get_connection()
        self._connection.send_command("BLPOP", *self._keys, _BELL_ANSWERS_WITHIN)
        self._armed_at = time.monotonic()

    def _wait(self, timeout: float, wake: int) -> bool:
        connection = self._connection
        if connection._sock.fileno() in readable([connection._sock, wake], timeout):
            answer = connection.read_response()
            self._connection = None
            self._client.connection_pool.release(connection)
            return answer is not None
        overdue = time.monotonic() - self._armed_at - _BELL_ANSWERS_WITHIN
        if overdue > get_settings().redis_timeout:
            raise TimeoutError("Redis does not answer a blocking pop")
        return False


def relay_bell() -> Bell:
    """The bell that the leading relay listens to."""
    return Bell([keys.RELAY], queue=next(iter(django_settings.RQ_QUEUES)))


def orders_bell(worker: str) -> Bell:
    """The bell that tells a worker, by the hex digits of its id, that something is asked of it."""
    return Bell([_orders_of(worker)], queue=next(iter(django_settings.RQ_QUEUES)))


def ring_for_orders(worker: str) -> None:
    """Have that worker look at its rows now; it does so every second anyway."""
    with as_unavailable():
        key, client = keys.bell(_orders_of(worker)), clients("publish")[0]

        def ring() -> None:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.lpush(key, 1)
                pipeline.ltrim(key, 0, 0)
                # Of a worker that is gone nothing is left.
                pipeline.expire(key, _ORDERS_LAST)
                pipeline.execute()

        strange_keys.mending(client, {key: "list"}, ring)


def _orders_of(worker: str) -> str:
    return f"orders:{worker}"


def ring_relay(*, hurry: bool = False) -> None:
    """Wake the relay that leads: there is a job with a near time that it may not know of yet."""
    with circuit.guarding() if hurry else nullcontext(), as_unavailable():
        key, client = keys.bell(keys.RELAY), clients("publish")[0]

        def ring() -> None:
            with client.pipeline(transaction=False) as pipeline:
                # One token is enough, and a list that nobody empties must not grow.
                pipeline.lpush(key, 1)
                pipeline.ltrim(key, 0, 0)
                pipeline.execute()

        strange_keys.mending(client, {key: "list"}, ring)
