"""Whether anything is wrong now: what each store says, asked side by side and within a bounded time.

A store that hangs or is away is named and left out; the others are told of all the same. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.functions import Now

from jobqueue.broker import paces
from jobqueue.conf import get_settings
from jobqueue.counts.reading import QueueCounts, counts_of_database
from jobqueue.counts.signs import Sign, Signs, read_signs
from jobqueue.models import ProcessorLimits, Queue, Worker
from jobqueue.monitoring import set_aside
from jobqueue.monitoring.probes import Answered, Probe, ask_here
from jobqueue.sql.clock import about_now
from jobqueue.sql.databases import databases
from jobqueue.sql.time_limits import limited

PATIENCE = 1.0
"""Seconds that a statement, and a store on its own thread, may take: then the page does without it."""
_MOST_QUEUES = 50
"""Queues that are looked at beside those of RQ_QUEUES: some are left from before, by names or by attacks."""
_MOST_PROCESSORS = 100


@dataclass(slots=True)
class QueueNow:
    """One queue at this moment, in all databases together."""

    decided: Queue
    """What operators decided about it."""
    counts: QueueCounts = field(default_factory=QueueCounts)
    oldest: datetime | None = None
    """Since when the job is due that is due for longest."""
    failed: Sign = field(default_factory=Sign)
    """What failed within the last hour."""
    stuck: Sign = field(default_factory=Sign)
    """Those of the active jobs whose worker is gone or that ran past their limit."""
    workers: int = 0
    """Living workers that claim jobs of it, of whatever version."""
    quiet: int = 0
    """Living workers that serve it and were told to claim nothing, or are ending."""
    started: int | None = None
    """About how many runs started in the last minute; None where Redis does not tell."""
    to_retry: int = 0
    """How many jobs will run again soon whose last run failed."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.decided.name

    @property
    def is_configured(self) -> bool:
        """Whether RQ_QUEUES has it."""
        return self.name in django_settings.RQ_QUEUES


@dataclass(slots=True)
class Overview:
    """Everything at this moment, as far as the stores answered."""

    now: datetime
    queues: dict[str, QueueNow]
    usual: Sign = field(default_factory=Sign)
    usual_muted: Sign = field(default_factory=Sign)
    counted: int = 0
    """Failures of the day before the last hour: failed still, of muted causes, and all by the charts."""
    has_muted: bool = False
    """Whether a cause is muted: its failures are in none of these numbers but the last two."""
    stuck: Sign = field(default_factory=Sign)
    unknown: Sign = field(default_factory=Sign)
    held: Sign = field(default_factory=Sign)
    held_late: Sign = field(default_factory=Sign)
    """Held jobs whose time lies ahead, and those that were to have run by now."""
    away: list[str] = field(default_factory=list)
    """Databases that did not answer."""
    read_only: list[str] = field(default_factory=list)
    """Databases that can be read and take no changes."""
    has_redis: bool = True
    redis_silent_since: datetime | None = None
    """When it was asked in vain first, as far as this process knows."""
    warning: str = ""
    """That another installation uses the same Redis."""
    aside: dict[str, int] = field(default_factory=dict)
    """How much is set aside, by kind."""
    processors: list[ProcessorLimits] = field(default_factory=list)
    """What operators decided about processors that have limits."""
    alive: int | None = None
    """Living workers, of whatever queues; None where no database told."""

    @property
    def failed(self) -> int:
        """How many jobs are failed in all."""
        return sum(queue.counts.failed for queue in self.queues.values())


@dataclass(frozen=True, slots=True)
class _InDatabase:
    counts: dict[str, QueueCounts]
    signs: Signs
    workers: list[Worker]


def look() -> Overview:
    """Ask every store."""
    asked_redis, asked_aside = _redis.begin(), set_aside.begin_in_redis()
    elsewhere = [using for using in databases() if not _is_asked_here(using)]
    begun = {using: _database(using).begin() for using in elsewhere}
    answers = {
        using: ask_here(f"the database {using}", lambda using=using: _ask(using))  # type: ignore[misc]
        for using in databases()
        if using not in begun
    }
    decided = ask_here("the queues' rows", lambda: (list(Queue.objects.all()), _limited_processors()))
    answers |= {using: _database(using).finish(asked, PATIENCE) for using, asked in begun.items()}
    queues, processors = decided.answer or ([], [])
    found = _merged(answers, queues)
    found.processors = processors
    paced = _redis.finish(asked_redis, PATIENCE)
    told = [answered.answer.signs.aside for answered in answers.values() if answered.answer is not None]
    jobs = None if found.away else sum(told)
    said = set_aside.finish(asked_aside, jobs=jobs, has_databases=False, within=PATIENCE)
    found.has_redis = paced.is_there and said.has_redis
    found.redis_silent_since = _redis.silent_since
    found.warning, found.aside = said.warning, said.counts
    for name, queue in found.queues.items():
        if paced.answer is not None:
            queue.started = (queue.started or 0) + paced.answer.get(name, 0)
        elif not paced.is_there:
            queue.started = None
    return found


def _limited_processors() -> list[ProcessorLimits]:
    rows = ProcessorLimits.objects.exclude(rate_limit=None, concurrency_limit=None)
    return list(rows[:_MOST_PROCESSORS])


def _is_asked_here(using: str) -> bool:
    """On the thread that wants to know: a file keeps to the time, and without the first none is logged in."""
    return using == DEFAULT_DB_ALIAS or connections[using].vendor == "sqlite"


def _ask(using: str) -> _InDatabase:
    silence = timedelta(seconds=get_settings().worker_silence)
    with limited(using, PATIENCE):
        counts = counts_of_database(using)
        others = sorted(set(counts) - set(django_settings.RQ_QUEUES))[:_MOST_QUEUES]
        signs = read_signs(using, [*django_settings.RQ_QUEUES, *others])
        alive = Worker.objects.using(using).filter(heartbeat_at__gte=Now() - silence)
        return _InDatabase(counts, signs, list(alive))


def _ask_and_close(using: str) -> _InDatabase:
    try:
        return _ask(using)
    finally:
        connections.close_all()


@lru_cache(maxsize=64)
def _database(using: str) -> Probe[_InDatabase]:
    return Probe(f"the database {using}", lambda: _ask_and_close(using))


_redis = Probe("Redis", paces.completed_within_a_minute)


def _merged(answers: dict[str, Answered[_InDatabase]], decided: Collection[Queue]) -> Overview:
    """What the databases said, together."""
    rows = {queue.name: queue for queue in decided}
    names = list(django_settings.RQ_QUEUES)
    found = Overview(about_now(), {name: QueueNow(rows.get(name, Queue(name))) for name in names})
    for using, answered in answers.items():
        if answered.answer is None:
            found.away.append(using)
        else:
            _add(found, answered.answer, rows)
            if answered.answer.signs.read_only:
                found.read_only.append(using)
    return found


def _add(found: Overview, told: _InDatabase, rows: dict[str, Queue]) -> None:
    signs = told.signs
    found.now, found.alive = signs.now, max(found.alive or 0, len(told.workers))
    found.usual, found.stuck = found.usual + signs.usual, sum(signs.stuck.values(), found.stuck)
    found.usual_muted, found.counted = found.usual_muted + signs.usual_muted, found.counted + signs.counted
    found.unknown += signs.unknown
    found.has_muted |= bool(signs.muted)
    found.held, found.held_late = found.held + signs.held, found.held_late + signs.held_late
    for name, counts in told.counts.items():
        if name not in found.queues and len(found.queues) < len(django_settings.RQ_QUEUES) + _MOST_QUEUES:
            found.queues[name] = QueueNow(rows.get(name, Queue(name)))
        if name in found.queues:
            found.queues[name].counts.add(counts)
    for name, queue in found.queues.items():
        times = [moment for moment in (queue.oldest, signs.oldest.get(name)) if moment is not None]
        queue.oldest = min(times, default=None)
        queue.failed += signs.failed.get(name, Sign())
        queue.stuck += signs.stuck.get(name, Sign())
        queue.started = (queue.started or 0) + signs.started.get(name, 0)
        queue.to_retry += signs.to_retry.get(name, 0)
        serving = [worker.is_available for worker in told.workers if name in worker.served]
        queue.workers = max(queue.workers, sum(serving))
        queue.quiet = max(queue.quiet, len(serving) - sum(serving))
