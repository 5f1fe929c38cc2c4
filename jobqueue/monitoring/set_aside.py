"""How much is set aside: jobs in the databases; messages and keys in Redis, which says who else uses it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django.db import connections

from jobqueue.broker import neighbours, set_aside
from jobqueue.broker.connections import clients
from jobqueue.conf import get_settings
from jobqueue.models import Job
from jobqueue.monitoring import health
from jobqueue.monitoring.probes import Answered, Probe, ask_here
from jobqueue.sql.databases import databases
from jobqueue.sql.time_limits import limited

JOB, MESSAGE, KEY = KINDS = ("job", "message", "key")
MOST_COUNTED = 10_000
"""Of one database; whoever has so many needs no exact number."""
# What was found last: a store that is away does not make it nothing, and `jobqueue_up` says that it is away.
_last: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the stores, which answer side by side."""

    redis: Any
    databases: Any
    """None where these are asked on the thread that wants to know."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the stores said."""

    counts: dict[str, int]
    """How much is set aside by kind; as much as before where a store is away."""
    has_redis: bool
    """Whether Redis answered."""
    warning: str
    """That another installation uses it; empty if none does, or if it did not answer."""


def begin() -> Question:
    """Ask the stores."""
    return Question(_in_redis.begin(), None if health.keeps_to_the_time() else _in_databases.begin())


def finish(question: Question, *, has_databases: bool = True, within: float | None = None) -> Said:
    """What they said, at most HEALTH_TIMEOUT later, or `within` so many seconds.

    Without `has_databases` these are away, and are not asked once more.
    """
    if has_databases:
        jobs = _finish_jobs(question, within).answer
        _last[JOB] = _last[JOB] if jobs is None else jobs
    redis = _in_redis.finish(question.redis, within).answer
    if redis is not None:
        for kind in (MESSAGE, KEY):
            _last[kind] = redis.counts.get(kind, 0)
    counts = {kind: _last[kind] for kind in KINDS}
    return Said(counts, redis is not None, redis.warning if redis is not None else "")


def _finish_jobs(question: Question, within: float | None) -> Answered[int]:
    if health.keeps_to_the_time():
        return ask_here("the database", _count_jobs)
    return _in_databases.finish(question.databases, within)


def counts() -> dict[str, int]:
    """How much is set aside by kind, asked and answered within HEALTH_TIMEOUT."""
    return finish(begin()).counts


def _count_jobs() -> int:
    with ExitStack() as limits:
        for using in databases():
            limits.enter_context(limited(using, get_settings().health_timeout))
        rows = [Job.objects.using(using).set_aside().order_by()[:MOST_COUNTED] for using in databases()]
        return sum(some.count() for some in rows)


def _count_and_close() -> int:
    try:
        return _count_jobs()
    finally:
        connections.close_all()


@dataclass(frozen=True, slots=True)
class _InRedis:
    counts: dict[str, int]
    warning: str


def _ask_redis() -> _InRedis:
    total: Counter[str] = Counter()
    for client in clients("probe"):
        total.update(set_aside.counted(client))
    return _InRedis(dict(total), neighbours.warning())


_in_databases = Probe("the database", _count_and_close)
_in_redis = Probe("Redis", _ask_redis)
