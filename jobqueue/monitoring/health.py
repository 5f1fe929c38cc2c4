"""Whether the job queue can do its work, within a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings as django_settings
from django.db import connections

from jobqueue.broker import counters, server, strange_keys
from jobqueue.conf import get_settings
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.monitoring.probes import Answered, Probe, ask_here
from jobqueue.sql import read_only
from jobqueue.sql.databases import databases
from jobqueue.sql.time_limits import limited

logger = logging.getLogger(__name__)

UP, DOWN = "UP", "DOWN"


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
    refuses messages or evicts them, or in which a queue has a key that the job queue did not write.
    """
    asked = _redis_takes_messages.begin()
    counted = count_jobs()
    takes_messages, completed = _redis_takes_messages.finish(asked).answer or (False, {})
    answer = counted.answer or Counted({})
    return QueuesHealth(
        is_up=counted.is_there and takes_messages and not answer.refused,
        counts=answer.queues,
        completed=completed,
        moment=datetime.now(UTC),
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """What the databases said."""

    queues: dict[str, QueueCounts]
    refused: Sequence[str] = ()
    """Where jobs cannot be run, though it can be read, and why."""


def count_jobs() -> Answered[Counted]:
    """The counts of open jobs, HEALTH_TIMEOUT at most, also while somebody has a table locked."""
    return ask_here("the database", _count) if keeps_to_the_time() else _database_counts.ask()


def is_ready() -> bool:
    """Whether Redis and the database answer."""
    asked = _redis_answers.begin()
    answered = ask_here("the database", _select_one) if keeps_to_the_time() else _database_answers.ask()
    return answered.is_there and _redis_answers.finish(asked).is_there


def _ask_redis_for_room() -> tuple[bool, dict[str, int]]:
    """Whether Redis takes messages and keeps them, and how many jobs it counted as completed."""
    completed = counters.completed("probe")
    try:
        server.check_writable("probe")
        strange_keys.check("probe")
    except BrokerUnavailable as error:
        logger.warning("Redis cannot be used: %s", error)
        return False, completed
    return True, completed


def _count() -> Counted:
    with ExitStack() as limits:
        for using in databases():
            limits.enter_context(limited(using, get_settings().health_timeout))
            # Fails where a column is missing that this code wants: then no worker of it takes a job.
            Job.objects.using(using).filter(pk=0).first()
        counted = Counted(queue_counts(), refused_databases())
    for text in counted.refused:
        logger.warning("%s", text)
    return counted


def refused_databases() -> list[str]:
    """Of the databases that are served those that take no writes from this user, in a sentence each."""
    found = ((using, read_only.why_not_written(using)) for using in databases())
    return [read_only.sentence(using, why) for using, why in found if why]


def _count_and_close() -> Counted:
    try:
        return _count()
    finally:
        connections.close_all()


def _select_one() -> None:
    for using in databases():
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT 1")


def _select_one_and_close() -> None:
    try:
        _select_one()
    finally:
        connections.close_all()


def keeps_to_the_time() -> bool:
    """Whether all databases are files, for whose locks a statement waits no longer than it is told to.

    Nor would another thread see what a test has not committed.
    """
    return all(connections[using].vendor == "sqlite" for using in databases())


_redis_takes_messages = Probe("Redis", _ask_redis_for_room)
_redis_answers = Probe("Redis", lambda: server.ping("probe"))
_database_counts = Probe("the database", _count_and_close)
_database_answers = Probe("the database", _select_one_and_close)
