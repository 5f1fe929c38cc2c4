"""RQ's picture of a worker: what `rq info` and rqstats are told, and RQ's shutdown command."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq import Worker as RQWorker
from rq import worker_registration
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.worker import WorkerStatus

from jobqueue.broker import keys, strange_keys
from jobqueue.broker.refusals import connect_anew_when_refused
from jobqueue.conf import get_settings
from jobqueue.worker.board import Totals

logger = logging.getLogger(__name__)


class RQPicture:
    """Keeps what RQ knows of a worker true, as far as Redis takes it, and never waits long for Redis."""

    def __init__(self, worker: RQWorker) -> None:
        """`worker`'s own connection no longer waits for a Redis that hangs."""
        self._worker = worker
        self._connection = worker.connection
        self._namesake: _Namesake | None = None
        self._commands: Any = None
        self._reported: tuple[bool, int, int] | None = None
        self._next_heartbeat = 0.0
        self.is_told_to_shut_down = False
        _do_not_wait_for(self._connection)

    def appear(self) -> bool:
        """Make the worker known to RQ, under a name that nobody alive has; False if it is to be tried again.

        A worker that was killed keeps its name in RQ for minutes. Here the name is free again once its
        owner was silent for as long as makes a worker count as gone. Where Redis does not take the
        registration, because it is full or the answer got lost, the next heartbeat sees to it.
        """
        try:
            if not self._is_name_free():
                return False
            self._worker.register_birth()
        except (RedisError, OSError) as error:
            logger.warning("RQ does not know of this worker yet: %s: %s", type(error).__name__, error)
            self._mend(error)
        return True

    def report(self, totals: Totals) -> None:
        """Heartbeat, state and counts, and what RQ's commands say."""
        try:
            self._listen_to_commands()
            news = (bool(totals.running), totals.completed, totals.failed)
            if news == self._reported and time.monotonic() < self._next_heartbeat:
                return
            self._next_heartbeat = time.monotonic() + get_settings().heartbeat_interval
            self._tell(*news)
            self._reported = news
        except (RedisError, OSError, ValueError) as error:  # ValueError: another took the name meanwhile
            logger.debug("Redis does not take the worker's state: %s", error)
            self._commands = None
            self._mend(error)

    def disappear(self) -> None:
        """Take the worker out of the picture."""
        with suppress(RedisError, OSError):
            self._worker.register_death()

    def _is_name_free(self) -> bool:
        heard_of = self._last_sign_of_namesake()
        if self._namesake is None:
            if heard_of is None:
                return True
            logger.warning(
                "waiting: there is a worker named %s, or there was one just now", self._worker.name
            )
            self._namesake = _Namesake(heard_of)
        if heard_of != self._namesake.heard_of:
            return True
        if self._namesake.is_gone():
            self._connection.delete(self._worker.key)
            return True
        return False

    def _last_sign_of_namesake(self) -> bytes | str | None:
        if self._connection.hexists(self._worker.key, "death"):
            return None
        return self._connection.hget(self._worker.key, "last_heartbeat")

    def _tell(self, is_busy: bool, completed: int, failed: int) -> None:
        worker = self._worker
        if not self._connection.exists(worker.key):
            worker.register_birth()
        with self._connection.pipeline(transaction=False) as pipeline:
            worker.set_state(WorkerStatus.BUSY if is_busy else WorkerStatus.IDLE, pipeline=pipeline)
            pipeline.hset(worker.key, "successful_job_count", completed)
            pipeline.hset(worker.key, "failed_job_count", failed)
            worker.heartbeat(pipeline=pipeline)
            # Others may have lost the lists of all workers.
            worker_registration.register(worker, pipeline)
            pipeline.execute()

    def _mend(self, error: Exception) -> None:
        """Set aside what somebody else wrote under RQ's keys of this worker; the next heartbeat goes on."""
        if isinstance(error, ResponseError):
            with suppress(RedisError, OSError):
                names = self._worker.queue_names()
                strange_keys.set_aside(self._connection, keys.types_of_worker(self._worker.name, names))

    def _listen_to_commands(self) -> None:
        if self._commands is None:
            self._commands = self._connection.pubsub(ignore_subscribe_messages=True)
            self._commands.subscribe(PUBSUB_CHANNEL_TEMPLATE % self._worker.name)
        while (message := self._commands.get_message(timeout=0)) is not None:
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                if json.loads(message["data"]).get("command") == "shutdown":
                    logger.info("Worker %s: shutdown command received", self._worker.name)
                    self.is_told_to_shut_down = True


class _Namesake:
    """A worker of the same name that RQ knows, dead or alive."""

    def __init__(self, heard_of: bytes | str) -> None:
        self.heard_of = heard_of
        """Its last sign of life."""
        self._deadline = time.monotonic() + get_settings().worker_silence

    def is_gone(self) -> bool:
        """Whether it was silent, since we have known of it, for as long as makes a worker count as gone."""
        return time.monotonic() >= self._deadline


def _do_not_wait_for(connection: Redis) -> None:
    """A Redis that hangs must not keep the supervisor from its executors, or from a stop."""
    pool = connection.connection_pool
    timeout = get_settings().health_timeout
    pool.connection_kwargs.update(socket_timeout=timeout, socket_connect_timeout=timeout)
    connection.set_retry(Retry(NoBackoff(), 0))
    connect_anew_when_refused(connection)
    # The connections there are would keep their old limits.
    pool.disconnect()
    pool.reset()
