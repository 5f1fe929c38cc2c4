"""How much is set aside: jobs in the databases; messages and keys in Redis, which says who else uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
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
    probe: Probe[int] | None = None
    """What asks databases on a thread of its own, if any."""
    databases: Any = None
    """What was asked by it."""
    here: Sequence[str] = ()
    """The databases that are asked on the thread that wants to know."""


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
    asked = _in_redis.begin()
    if health.keeps_to_the_time():
        return Question(asked, here=databases())
    return Question(asked, _in_databases, _in_databases.begin())


def begin_on_page() -> Question:
    """Ask the stores for a page, its own database on its own connection.

    To open another one took 45 ms of each list, and 200 on a busy machine; the question takes one.
    """
    own = [using for using in databases() if _is_of_page(using)]
    others = _in_others if len(own) < len(databases()) else None
    return Question(_in_redis.begin(), others, others and others.begin(), own)


def begin_in_redis() -> Question:
    """Ask Redis alone: the databases are asked by who wants to know."""
    return Question(_in_redis.begin())


def finish(
    question: Question, *, jobs: int | None = None, has_databases: bool = True, within: float | None = None
) -> Said:
    """What they said, at most HEALTH_TIMEOUT later, or `within` so many seconds.

    Without `has_databases` these are away, and are not asked once more; `jobs` is what they said already.
    """
    if jobs is None and has_databases:
        jobs = _finish_jobs(question, within)
    _last[JOB] = _last[JOB] if jobs is None else min(jobs, MOST_COUNTED)
    redis = _in_redis.finish(question.redis, within).answer
    if redis is not None:
        for kind in (MESSAGE, KEY):
            _last[kind] = redis.counts.get(kind, 0)
    counts = {kind: _last[kind] for kind in KINDS}
    return Said(counts, redis is not None, redis.warning if redis is not None else "")


def _finish_jobs(question: Question, within: float | None) -> int | None:
    """How many there are; None where a database did not answer."""
    told: list[Answered[int]] = []
    if question.here:
        told.append(ask_here("the database", lambda: _count_jobs(question.here, within)))
    if question.probe is not None:
        told.append(question.probe.finish(question.databases, within))
    numbers = [answered.answer for answered in told if answered.answer is not None]
    return sum(numbers) if numbers and len(numbers) == len(told) else None


def counts(own: int | None) -> dict[str, int]:
    """How much is set aside by kind, for a page that knows of its own database how many jobs are there."""
    asked = begin_on_page()
    question = replace(asked, here=[using for using in asked.here if using != Job.objects.db])
    others = _finish_jobs(question, None) if question.here or question.probe else 0
    jobs = None if own is None or others is None else own + others
    return finish(question, jobs=jobs, has_databases=False).counts


def _count_jobs(among: Sequence[str], within: float | None = None) -> int:
    seconds = get_settings().health_timeout if within is None else within
    with ExitStack() as limits:
        for using in among:
            limits.enter_context(limited(using, seconds))
        rows = [Job.objects.using(using).set_aside().order_by()[:MOST_COUNTED] for using in among]
        return sum(some.count() for some in rows)


def _count_and_close(among: Sequence[str]) -> int:
    try:
        return _count_jobs(among)
    finally:
        connections.close_all()


def _is_of_page(using: str) -> bool:
    return using == Job.objects.db or connections[using].vendor == "sqlite"


@dataclass(frozen=True, slots=True)
class _InRedis:
    counts: dict[str, int]
    warning: str


def _ask_redis() -> _InRedis:
    total: Counter[str] = Counter()
    for client in clients("probe"):
        total.update(set_aside.counted(client))
    return _InRedis(dict(total), neighbours.warning())


_in_databases = Probe("the database", lambda: _count_and_close(databases()))
_in_others = Probe(
    "the database", lambda: _count_and_close([using for using in databases() if not _is_of_page(using)])
)
_in_redis = Probe("Redis", _ask_redis)
