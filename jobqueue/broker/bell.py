"""Bells in Redis: a worker waits for one without polling, and can be left at any moment."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings as django_settings
from rq.defaults import RQ_KEY_PREFIX

from jobqueue.broker.connections import as_unavailable, circuit, client_for, clients
from jobqueue.broker.scripts import run
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable

# The name of the bell that the leading relay listens to.
RELAY = "relay"
# Seconds after which Redis answers a blocking pop in any case, so that a dead connection is noticed.
_BELL_ANSWERS_WITHIN = 10
_MOST_FOR_SELECT = 1024


def readable(files: Sequence[Any], timeout: float) -> set[int]:
    """Those of these files, by number, that can be read within so many seconds.

    `select` waits to the microsecond and `poll` to the millisecond, but only `poll` takes numbers above 1023,
    which a process gets whose jobs leave files open.
    """
    numbers = [file if isinstance(file, int) else file.fileno() for file in files]
    if max(numbers) < _MOST_FOR_SELECT:
        return set(select.select(numbers, [], [], max(0.0, timeout))[0])
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return {number for number, _event in poll.poll(1000 * max(0.0, timeout))}


class Bell:
    """Waits for a bell in Redis without polling, and can be left at any moment.

    A blocking pop stands open on a connection of its own; the wait is for an answer on its socket. So the
    time-out is this process's own, to the microsecond: Redis wakes blocked clients only ten times a second.
    Not safe for several threads.
    """

    def __init__(self, names: Sequence[str], *, queue: str | None = None) -> None:
        self.names = tuple(names)
        self._keys = [_bell(name) for name in names]
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


def _bell(name: str) -> str:
    return f"{RQ_KEY_PREFIX}:jobqueue:bell:{name}"


def relay_bell() -> Bell:
    """The bell that the leading relay listens to."""
    return Bell([RELAY], queue=next(iter(django_settings.RQ_QUEUES)))


def ring_relay(*, hurry: bool = False) -> None:
    """Wake the relay that leads: there is a job with a near time that it may not know of yet."""
    if hurry and circuit.is_open:
        raise BrokerUnavailable("Redis did not answer a moment ago")
    try:
        with as_unavailable(), clients("publish")[0].pipeline(transaction=False) as pipeline:
            # One token is enough, and a list that nobody empties must not grow.
            pipeline.lpush(_bell(RELAY), 1)
            pipeline.ltrim(_bell(RELAY), 0, 0)
            pipeline.execute()
    except BrokerUnavailable:
        if hurry:
            circuit.open()
        raise


def lead(candidate: str, lease: float) -> bool:
    """Take or keep the lead among the relays for `lease` seconds; 0 gives it up. Whether it was got."""
    with as_unavailable():
        return bool(run(clients("work")[0], "lead", candidate, int(lease * 1000)))
