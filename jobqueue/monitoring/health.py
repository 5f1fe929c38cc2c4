"""Whether the job queue can do its work, within a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings as django_settings
from django.db import connections

from jobqueue.broker import counters, server
from jobqueue.conf import get_settings
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.exceptions import BrokerUnavailable

logger = logging.getLogger(__name__)

UP, DOWN = "UP", "DOWN"

# A store that hangs keeps its thread until its own time-out; more probes than threads answer DOWN meanwhile.
_probes = ThreadPoolExecutor(max_workers=8, thread_name_prefix="jobqueue health")


@dataclass(frozen=True, slots=True)
class QueuesHealth:
    """The state of the queues at one moment."""

    is_up: bool
    counts: dict[str, QueueCounts]
    completed: dict[str, int]
    moment: datetime

    def as_dict(self) -> dict[str, Any]:
        """The body of `/health/queues`."""
        return {
            "status": UP if self.is_up else DOWN,
            "queues": {queue: self._queue(queue) for queue in django_settings.RQ_QUEUES},
            "timestamp": self.moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def _queue(self, queue: str) -> dict[str, int]:
        counts = self.counts.get(queue, QueueCounts())
        return {
            "waiting": counts.waiting,
            "active": counts.active,
            "completed": self.completed.get(queue, 0),
            "failed": counts.failed,
            "delayed": counts.delayed,
        }


def check_queues() -> QueuesHealth:
    """Ask Redis and the database at the same time, HEALTH_TIMEOUT at most.

    What did not answer counts as zero and makes the whole DOWN; so does a Redis that answers but
    refuses messages or evicts them.
    """
    timeout = get_settings().health_timeout
    redis = _probes.submit(_probe_redis)
    counts = _start_database_probe(queue_counts)
    started = datetime.now(UTC)
    counted = _answer("database", counts, timeout)
    left = max(0.0, timeout - (datetime.now(UTC) - started).total_seconds())
    takes_messages, completed = _answer("Redis", redis, left) or (False, {})
    return QueuesHealth(
        is_up=counted is not None and takes_messages,
        counts=counted or {},
        completed=completed,
        moment=datetime.now(UTC),
    )


def _probe_redis() -> tuple[bool, dict[str, int]]:
    """Whether Redis takes messages and keeps them, and how many jobs it counted as completed."""
    completed = counters.completed("probe")
    try:
        server.check_writable("probe")
    except BrokerUnavailable as error:
        logger.warning("Redis cannot be used: %s", error)
        return False, completed
    return True, completed


def is_ready() -> bool:
    """Whether Redis and the database answer."""
    timeout = get_settings().health_timeout
    redis = _probes.submit(server.ping, "probe")
    database = _start_database_probe(_select_one)
    return (
        _answer("database", database, timeout) is not None
        and _answer("Redis", redis, timeout, True) is not None
    )


def _select_one() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    return 1


def _start_database_probe(probe: Callable[[], Any]) -> Future[Any]:
    # A SQLite file cannot hang, and a thread would not see a test's uncommitted rows.
    if connections["default"].vendor == "sqlite":
        done: Future[Any] = Future()
        try:
            done.set_result(probe())
        except Exception as error:
            done.set_exception(error)
        return done
    return _probes.submit(_probe_database, probe)


def _probe_database(probe: Callable[[], Any]) -> Any:
    try:
        return probe()
    finally:
        connections.close_all()


def _answer(store: str, future: Future[Any], timeout: float, nothing_is_fine: bool = False) -> Any:
    """The probe's answer, or None if it failed or is late."""
    try:
        answer = future.result(timeout)
        return True if answer is None and nothing_is_fine else answer
    except FutureTimeout:
        logger.warning("%s did not answer within %.1f s", store, timeout)
    except Exception as error:
        logger.warning("%s cannot be reached: %s: %s", store, type(error).__name__, error)
    future.cancel()
    return None
