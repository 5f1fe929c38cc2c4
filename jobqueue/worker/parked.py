"""Starts the jobs of processors with limits from their rows, as far as the limits leave room."""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from django.db.models import Count

from jobqueue.broker import bell, queues
from jobqueue.broker.limits import QueueLimits, RateLimit
from jobqueue.broker.message import Message
from jobqueue.delivery.apart import blame
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, JobManager, jobs_in, transitions
from jobqueue.models.parking import free_of_others, parked, release
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases
from jobqueue.sql.writing import writing
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.threads import JobThreads

logger = logging.getLogger(__name__)

# How often an executor looks for what another one parked, or for the end of a job that another one ran.
LOOK_EVERY = 0.25
_LOOK_AFTER_AN_OUTAGE = 5.0
# So many that a limit held back, which has ended, are left to the relay at a time.
_RELEASE_AT_ONCE = 1_000
# What starts so many seconds after its start was counted is counted again, as of then.
_LATE_START = 0.05

Row = tuple[str, int, int]
"""The queue, id and attempt of a job."""


class ParkedJobs:
    """What one executor starts of the parked jobs. One thread's, but for `note_ended`."""

    def __init__(
        self,
        identity: Identity,
        decisions: QueueDecisions,
        threads: DatabaseThreads = IN_TURN,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`threads` are of who claims, `wake` ends its wait for messages."""
        self._identity, self._decisions, self._threads, self._wake = identity, decisions, threads, wake
        self._next_look = 0.0
        self._away_until: dict[str, float] = {}
        self._active: dict[str, dict[str, int]] = {}
        self.holds_back = False
        """Whether jobs that could run here wait for a limit, or for room."""

    @property
    def is_needed(self) -> bool:
        """Whether a processor has limits, or had some a moment ago."""
        return bool(self._decisions.processors or self._decisions.ended)

    def note_ended(self, outcomes: Sequence[Outcome]) -> None:
        """Look at once, if a limit counted any of these."""
        limited = self._decisions.processors
        if limited and any(outcome.job.processor in limited for outcome in outcomes):
            self._next_look = 0.0
            self._wake()

    def note_parked(self) -> None:
        """Something was parked just now."""
        self.holds_back, self._next_look = True, 0.0

    def wait(self) -> float:
        """Seconds until the next look; without an end where none is needed."""
        if not self.is_needed:
            return math.inf
        left = self._next_look - time.monotonic()
        return left if left > 0 else LOOK_EVERY

    def find(self, room: int, served: Collection[str], threads: JobThreads) -> list[Claim]:
        """Claim up to `room` parked jobs of these queues for threads that are free.

        What a limit counts as running is to run: nothing of it is held ahead.
        """
        if not self.is_needed:
            self.holds_back = False
            return []
        room = min(room, threads.free)
        if not room:
            threads.tell_when_free()
        if room < 1 or time.monotonic() < self._next_look:
            return []
        self._next_look = time.monotonic() + LOOK_EVERY
        self.holds_back = False
        found: dict[str, list[Claim]] = {}

        def look(using: str) -> None:
            try:
                self._release(using)
                found[using] = self._find(using, room - sum(map(len, list(found.values()))), served)
            except BrokerUnavailable as error:
                logger.warning("jobs of processors with a rate limit wait for Redis: %s", error)
            except OUTAGES as error:
                logger.warning("cannot look for parked jobs: %s: %s", type(error).__name__, error)
                self._away_until[using] = time.monotonic() + _LOOK_AFTER_AN_OUTAGE
                close_broken_connections()

        self._threads.each(look, [using for using in databases() if self._is_looked_into(using)])
        claims = [claimed for group in dict(found).values() for claimed in group]
        if claims:
            self._note_started(claims)
        if len(claims) >= room:
            self._next_look = 0.0
        return claims

    def _is_looked_into(self, using: str) -> bool:
        return using not in self._identity.absent and time.monotonic() >= self._away_until.get(using, 0.0)

    # Released -------------------------------------------------------------------------------------

    def _release(self, using: str) -> None:
        """Leave what limits held back that have ended to the relay."""
        released = sum(release(jobs_in(using), name, _RELEASE_AT_ONCE) for name in self._decisions.ended)
        if released:
            logger.info("%d jobs go on that the limits of their processors held back", released)
            self._next_look = 0.0
            bell.ring_relay()

    # Started --------------------------------------------------------------------------------------

    def _find(self, using: str, room: int, served: Collection[str]) -> list[Claim]:
        jobs, mine = jobs_in(using), self._decisions.limited_here()
        self._count_active(using)
        if room < 1 or not mine or not parked(jobs, mine).filter(queue__in=served).exists():
            return []
        self.holds_back = True
        claims: list[Claim] = []
        # Whoever stands first in an order would take all the room.
        for name in random.sample(mine, len(mine)):
            if room > len(claims):
                claims += self._start(using, name, room - len(claims), served)
        return claims

    def _count_active(self, using: str) -> None:
        """Where there are several databases: what runs in this one, as the others are to count it."""
        if len(databases()) > 1:
            active = jobs_in(using).active().filter(processor__in=self._decisions.processors).order_by()
            counted = active.values_list("processor").annotate(number=Count("pk"))
            self._active[using] = dict(counted)

    def _start(self, using: str, name: str, room: int, served: Collection[str]) -> list[Claim]:
        """Claim the first of what is parked of a processor, as many as all limits allow."""
        jobs, limits = jobs_in(using), self._decisions.processors.get(name)
        if limits is None or not parked(jobs, [name]).filter(queue__in=served).exists():
            return []
        most = limits.concurrency
        if most is not None:
            most -= sum(active.get(name, 0) for other, active in self._active.items() if other != using)
            # Most looks end here, without a lock.
            room = min(room, most - jobs.active().filter(processor=name).count())
        if room < 1:
            return []
        unreadable: list[tuple[int, Exception]] = []
        taken = _Starts(name, limits, self._decisions.limits)
        try:
            with writing(using):
                room = jobs.left_by_limit(name, room, most)
                rows = taken.take(self._allowed(jobs, name, room, served))
                keys = [(pk, attempt) for _queue, pk, attempt in rows]
                # As if a message had told of them just now.
                transitions.mark_published(jobs.filter(pk__in=[pk for pk, _attempt in keys]))
                claimed = transitions.claim(jobs, keys, self._identity.id, unreadable)
        except BaseException:
            taken.give_back([])
            raise
        taken.give_back(claimed)
        if taken.pause:
            self._next_look = min(self._next_look, time.monotonic() + taken.pause)
        for job_id, error in unreadable:
            self._set_aside(using, job_id, error)
        return [Claim(job, using) for job in claimed]

    def _allowed(self, jobs: JobManager, name: str, room: int, served: Collection[str]) -> list[Row]:
        """The first parked jobs that the limits of their queues let run; full queues are passed by."""
        limits, left = self._decisions.limits, set(served)
        allowed: list[Row] = []
        while room > len(allowed):
            chosen = [pk for _queue, pk, _attempt in allowed]
            rows = free_of_others(parked(jobs, [name]).filter(queue__in=left).exclude(pk__in=chosen))
            wanted = allowed + list(rows.values_list("queue", "pk", "attempt")[: room - len(allowed)])
            concurrency = {
                queue: limit.concurrency
                for queue in {row[0] for row in wanted}
                if (limit := limits.get(queue)) is not None and limit.concurrency is not None
            }
            may_start = set(jobs.within_limits(wanted, concurrency))
            full = {queue for queue, *key in wanted if tuple(key) not in may_start}
            allowed = [row for row in wanted if row[1:] in may_start]
            if not full:
                break
            left -= full
        return allowed

    def _set_aside(self, using: str, job_id: int, error: Exception) -> None:
        def claim_healthy(job: Job) -> None:
            [_claimed] = transitions.claim(jobs_in(using), [(job.pk, job.attempt)], self._identity.id)

        jobs = jobs_in(using).free_or_held_by(self._identity.id)
        blame(jobs.filter(pk=job_id), error, claim_healthy)

    def _note_started(self, claims: Sequence[Claim]) -> None:
        messages = [
            Message(job.queue, job.pk, job.attempt, using, job.processor, job.timeout)
            for job, using in claims
        ]
        try:
            queues.note_started(messages, self._identity.id.hex, self._identity.name)
        except BrokerUnavailable as error:
            logger.warning("RQ's tools do not see %d jobs run: %s", len(claims), error)


class _Starts:
    """The starts that are counted against the rate limits of a processor and of its jobs' queues."""

    def __init__(self, processor: str, limits: QueueLimits, by_queue: Mapping[str, QueueLimits]) -> None:
        self._processor = None if limits.rate is None else RateLimit(limits.rate, processor=processor)
        self._by_queue = by_queue
        self._taken: list[tuple[RateLimit, int]] = []
        self._since = time.monotonic()
        self.pause = 0.0
        """Seconds until a limit that let too few start lets more."""

    def take(self, rows: list[Row]) -> list[Row]:
        """Those of the rows that may start now, by each of the limits."""
        self._since = time.monotonic()
        if self._processor is not None and rows:
            rows = rows[: self._take(self._processor, len(rows))]
        for queue, number in Counter(queue for queue, *_key in rows).items():
            limit = self._by_queue.get(queue)
            if limit is None or limit.rate is None:
                continue
            left = self._take(RateLimit(limit.rate, queue=queue), number)
            first = [row for row in rows if row[0] == queue][:left]
            rows = [row for row in rows if row[0] != queue or row in first]
        return rows

    def _take(self, limit: RateLimit, wanted: int) -> int:
        left, pause = limit.take(wanted)
        self._taken.append((limit, left))
        self.pause = max(self.pause, pause)
        return left

    def give_back(self, claimed: Sequence[Job]) -> None:
        """Count what did not start no longer, and anew what took long to."""
        is_late = time.monotonic() - self._since > _LATE_START
        for limit, number in self._taken:
            started = sum(not limit.queue or job.queue == limit.queue for job in claimed)
            try:
                if number > started:
                    limit.give_back(number - started)
                if started and is_late:
                    limit.count_late(started)
            except BrokerUnavailable as error:
                logger.warning("Redis did not hear what started: %s", error)
