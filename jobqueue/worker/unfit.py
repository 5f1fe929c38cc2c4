"""Jobs that this process cannot run, because another version of the code wrote them.

In a deploy old and new code run side by side. A job whose processor is not registered here, or whose payload
does not fit its processor here, is handed on: it waits again, in the same attempt, and workers that can run
it find it at once, without a race for its message. Only after UNKNOWN_PROCESSOR_TIMEOUT it fails.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery import failures
from jobqueue.exceptions import InvalidPayload, JobQueueError, UnknownProcessor
from jobqueue.models import UNKNOWN_PREFIX, Job, JobQuerySet, jobs_in, transitions
from jobqueue.models.unknown import KNOWN_FOR, NEVER_KNOWN, mark_known
from jobqueue.registry import all_processors, get_processor, why_unfit
from jobqueue.sql.clock import database_now
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases
from jobqueue.sql.writing import writing
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.outcomes import Failure, Outcome, OutcomeStatus
from jobqueue.worker.telling import News, Teller

logger = logging.getLogger(__name__)

# A job is offered to everybody again as long after it was handed on as it has been unknown by then.
_SHORTEST_DELAY = timedelta(seconds=1)
_LONGEST_DELAY = timedelta(seconds=30)
# Beyond its time a job waits no longer for a worker that is not held up.
_LATE = timedelta(seconds=5)
# How often a worker looks for what others handed on, how often after it found some, and how many it looks at.
_LOOK_EVERY = 1.0
_LOOK_AGAIN = 0.1
_LOOK_AT = 200
_LOOK_AFTER_AN_OUTAGE = 10.0
# Of so many names a process says that it does not know them.
_MOST_NAMES = 1_000


class _Fit(NamedTuple):
    """A job that others could not run and this process can."""

    pk: int
    attempt: int
    queue: str
    processor: str
    published_at: datetime | None
    is_stale: bool
    """Whether it was long ago, by the database's clock, that a worker said that it knows it."""


class _HeldBack(NamedTuple):
    """Of what a worker may not just take what it knows: paused queues, limited ones, limited processors."""

    paused: frozenset[str]
    limited: frozenset[str]
    processors: frozenset[str]

    def by_limits(self, fit: _Fit) -> bool:
        is_limited = fit.queue in self.limited or fit.processor in self.processors
        return is_limited and fit.queue not in self.paused

    def at_all(self, fit: _Fit) -> bool:
        return fit.queue in self.paused or self.by_limits(fit)


class UnfitJobs:
    """What one executor hands on because it cannot run it, and finds that others handed on. One thread's."""

    def __init__(
        self,
        identity: Identity,
        teller: Teller,
        take: Callable[[Sequence[Claim]], None],
        settle: Callable[[Outcome], None],
        threads: DatabaseThreads = IN_TURN,
    ) -> None:
        """`take` gets claims whose time is over, `settle` what is to be written down of them.

        `threads` are of who claims.
        """
        self._identity, self._teller, self._take, self._settle = identity, teller, take, settle
        self._threads = threads
        self._next_look = 0.0
        self._positions: dict[str, int] = defaultdict(int)
        self._away_until: dict[str, float] = defaultdict(float)
        self._named: set[str] = set()

    # Hand on --------------------------------------------------------------------------------------

    def hand_on(self, unfit: Sequence[tuple[Claim, str]]) -> None:
        """Let others run these claims, each with the reason why it cannot be run here.

        They were not taken in hand: if it fails they are strays, which go back later.
        """
        by_database: dict[str, list[tuple[Claim, str]]] = defaultdict(list)
        for claimed, why in unfit:
            by_database[claimed.using].append((claimed, why))
            self._say_once(claimed.job, why)
        self._threads.each(lambda using: self._hand_on(by_database[using], using), by_database)

    def _hand_on(self, unfit: Sequence[tuple[Claim, str]], using: str) -> None:
        jobs, now = jobs_in(using), database_now(using)
        ids = [claimed.job.pk for claimed, _why in unfit]
        rows = jobs.filter(pk__in=ids).values_list("pk", "unfit_since", "run_at")
        known = {pk: (since, due) for pk, since, due in rows}
        groups: dict[tuple[str, timedelta, timedelta | None], list[Job]] = defaultdict(list)
        for claimed, why in unfit:
            since, due = known.get(claimed.job.pk, (None, now))
            age, is_clocks = _age(since, due, now)
            left = timedelta(seconds=get_settings().unknown_processor_timeout) - age
            if left <= timedelta(0):
                self._take([claimed])
                self._settle(_outcome_of(claimed, why, age))
            else:
                by_age = None if is_clocks else timedelta(seconds=round(age.total_seconds()))
                groups[why, min(_delay_after(age), left), by_age].append(claimed.job)
        for (why, delay, by_age), group in groups.items():
            reason = f"{UNKNOWN_PREFIX}{why}"
            transitions.hand_on(jobs, group, self._identity.id, reason=reason, delay=delay, age=by_age)
        handed_on = [job for group in groups.values() for job in group]
        if handed_on:
            messages = [(Message(job.queue, job.pk, job.attempt, using), False) for job in handed_on]
            self._teller.tell(News(messages, self._identity.id.hex))

    def _say_once(self, job: Job, why: str) -> None:
        name = job.processor
        if name in self._named or len(self._named) >= _MOST_NAMES:
            return
        self._named.add(name)
        logger.warning(
            "this worker cannot run job %d: %s. Such jobs go on to workers that can, and fail if there is "
            "none for %g s (UNKNOWN_PROCESSOR_TIMEOUT). Does it run older code than those that enqueue them?",
            job.pk,
            why,
            get_settings().unknown_processor_timeout,
        )

    # Find -----------------------------------------------------------------------------------------

    def find(
        self,
        room: int,
        queues: Collection[str],
        limited: Collection[str],
        processors: Collection[str] = (),
        paused: Collection[str] = (),
    ) -> list[Claim]:
        """Claim up to `room` jobs of these queues that others handed on and that can be run here.

        Without a message: whoever cannot run them would be as quick to take it. Those of `limited` queues
        and `processors` are only made due, so that they are offered to everybody, by messages. Of what it
        knows and does not take it says so, without room and of `paused` queues too: it is not unknown because
        workers are busy, quiet, or not to take it now.
        """
        if time.monotonic() < self._next_look:
            return []
        self._next_look = time.monotonic() + _LOOK_EVERY
        found: dict[str, list[Claim]] = {}
        held_back = _HeldBack(frozenset(paused), frozenset(limited), frozenset(processors))

        def find(using: str) -> None:
            try:
                left = room - sum(map(len, list(found.values())))
                found[using] = self._find(using, left, {*queues, *paused}, held_back)
            except OUTAGES as error:
                # It is not this look that is to say so, nor to wait for a database that may not even answer.
                logger.debug("cannot look for jobs that others do not know: %s", error)
                self._away_until[using] = time.monotonic() + _LOOK_AFTER_AN_OUTAGE
                close_broken_connections()

        self._threads.each(find, [using for using in databases() if self._is_looked_into(using)])
        claims = [claimed for group in dict(found).values() for claimed in group]
        if claims or any(self._positions.values()):  # there is more of it
            self._next_look = time.monotonic() + _LOOK_AGAIN
        return claims

    def _is_looked_into(self, using: str) -> bool:
        return using not in self._identity.absent and time.monotonic() >= self._away_until[using]

    def _find(self, using: str, room: int, queues: Collection[str], held_back: _HeldBack) -> list[Claim]:
        fit = self._next_fit(using, queues)
        held = {each.pk for each in fit if held_back.by_limits(each)}
        if held and room > 0:
            transitions.run_now(_handed_on(using).filter(pk__in=held, run_at__gt=Now()))
        free = [each for each in fit if not held_back.at_all(each) and each.published_at is None]
        keys = [(each.pk, each.attempt) for each in free[: max(0, room)]]
        rows = _claim_at_once(keys, using, self._identity)
        self._say_known(fit, {job.pk for job in rows}, using)
        return [Claim(job, using) for job in rows]

    def _say_known(self, fit: Sequence[_Fit], taken: Collection[int], using: str) -> None:
        """That what is left is known here; it is written down seldom, for rows cost more than looks."""
        left = [each.pk for each in fit if each.is_stale and each.pk not in taken]
        if left:
            mark_known(_unknown_to_some(using), left)

    def _next_fit(self, using: str, queues: Collection[str]) -> list[_Fit]:
        """What fits here. Walks what was handed on, row by row."""
        rows = list(
            _unknown_to_some(using)
            .filter(
                queue__in=queues,
                processor__in=[processor.name for processor in all_processors()],
                pk__gt=self._positions[using],
            )
            .annotate(is_stale=Q(unfit_since__lt=Now() - KNOWN_FOR))
            .order_by("pk")
            .values_list(*_Fit._fields, "payload")[:_LOOK_AT]
        )
        self._positions[using] = rows[-1][0] if len(rows) == _LOOK_AT else 0
        return [_Fit(*row[:-1]) for row in rows if not why_unfit(row[3], row[-1])]


def _age(since: datetime | None, due: datetime | None, now: datetime) -> tuple[timedelta, bool]:
    """For how long nobody has known a job, and whether that is what the clock says.

    It counts up to when the job was to be offered again, and a little more: the database's clock may have
    stepped since, or no worker ran.
    """
    if since is None or due is None:
        return timedelta(0), True
    age = max(timedelta(0), due - since) + min(max(timedelta(0), now - due), _LATE)
    return age, abs(now - since - age) <= _LATE


def _delay_after(age: timedelta) -> timedelta:
    """Doubles what the job has waited by now, in whole seconds: jobs handed on together stay together."""
    return min(max(_SHORTEST_DELAY, timedelta(seconds=round(age.total_seconds()))), _LONGEST_DELAY)


def _handed_on(using: str) -> JobQuerySet:
    """What waits because a worker could not run it, and was not published since."""
    return _unknown_to_some(using).filter(published_at__isnull=True)


def _unknown_to_some(using: str) -> JobQuerySet:
    """The same, and what was published since."""
    return jobs_in(using).waiting().filter(unfit_since__isnull=False)


def _claim_at_once(keys: Sequence[tuple[int, int]], using: str, identity: Identity) -> list[Job]:
    """Claim these `(job id, attempt)` though their time lies ahead; not those that somebody else changes."""
    if not keys:
        return []
    with writing(using):
        rows = _handed_on(using).filter(pk__in=[pk for pk, _attempt in keys])
        if connections[using].features.has_select_for_update_skip_locked:
            locked = set(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
            keys = [key for key in keys if key[0] in locked]
            rows = _handed_on(using).filter(pk__in=locked)
        transitions.run_now(rows)
        claimed = transitions.claim(jobs_in(using), keys, identity.id)
    logger.info("took %d jobs that other workers could not run", len(claimed))
    return claimed


def _outcome_of(claimed: Claim, why: str, age: timedelta) -> Outcome:
    """Failed, and says for how long nobody knew it."""
    error = _error_of(claimed.job, why, age)
    failure = Failure(type(error).__name__, str(error), "")
    reason = f"{failure.error_class}: {failure.message}"
    failures.log_end(claimed.job, reason, error)
    job, using, status = claimed.job, claimed.using, OutcomeStatus.FAILED
    return Outcome(job, using, status, 0.0, reason, None, failure, exception=error)


def _error_of(job: Job, why: str, age: timedelta) -> JobQueueError:
    text = f"{NEVER_KNOWN}{age.total_seconds():.0f} s (UNKNOWN_PROCESSOR_TIMEOUT): {why}"
    try:
        get_processor(job.processor)
    except UnknownProcessor:
        return UnknownProcessor(text)
    return InvalidPayload(text)
