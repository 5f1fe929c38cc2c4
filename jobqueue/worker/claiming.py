"""Claims jobs: messages from Redis, then the rows that they name."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from jobqueue import plain_rq
from jobqueue.broker import queues
from jobqueue.broker.limits import QueueLimits, RateLimit, count_late_starts
from jobqueue.broker.message import Message
from jobqueue.delivery import outbox
from jobqueue.delivery.apart import blame, take_apart
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, jobs_in, parking, transitions
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.databases import databases, is_left_out
from jobqueue.sql.writing import writing
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.left_alone import LeftAlone
from jobqueue.worker.telling import News, Teller

logger = logging.getLogger(__name__)

# What starts so many seconds after its claim counts again for the rate limit of its queue; see RATE_WINDOW.
_LATE_START = 0.05
# Rows may know of more running jobs than Redis; then Redis is asked again after so many seconds.
_ASK_AGAIN = 0.25
# After an error that a row can bring about claims can be taken back for so many seconds, to find the row.
_CAREFUL_FOR = 60.0
_careful_until: dict[str, float] = {}
# How often one claim asks Redis again because only foreign messages came.
_MOST_TRIES = 50


@dataclass(frozen=True, slots=True)
class Identity:
    """Who claims: the id that guards its claims, its name, and the queues it serves."""

    id: uuid.UUID
    name: str
    queues: Sequence[str] = field(default_factory=tuple)
    absent: set[str] = field(default_factory=set, compare=False)
    """Databases that have no row of it yet: what it claimed there would be taken for a lost worker's."""


class Claim(NamedTuple):
    """A job that is ours to run, and the database it lives in."""

    job: Job
    using: str

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells this claim from all others."""
        return self.using, self.job.pk, self.job.attempt


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a claim asks for: up to `count` due jobs of these queues, which stand in order of priority."""

    count: int
    queues: Sequence[str]
    limits: Mapping[str, QueueLimits] = field(default_factory=dict)
    free: int | None = None
    """How many can start at once: the most that is taken of queues with limits. None: all."""
    parks: Sequence[str] = ()
    """The processors with limits: their jobs are parked, and start from there; see `parked.py`."""


class Batch(NamedTuple):
    """What one claim brought. `pause`: seconds until a limit may let the next job go, if one holds it.

    `parked`: how many it found besides whose processors have limits.
    """

    jobs: list[Claim]
    pause: float | None
    parked: int = 0


class _Answer(NamedTuple):
    """What the rows of one database answered to the messages that name them."""

    claims: list[Claim]
    refused: Sequence[Message] = ()
    """What a limit keeps waiting."""
    dropped: Sequence[Message] = ()
    """What no row answered to."""
    error: Exception | None = None
    left: Sequence[Message] = ()
    """What has no answer, because of the error."""
    parked: Sequence[Message] = ()
    """What the limits of its processor keep waiting, from now on without a message."""


def claim(identity: Identity, wanted: Wanted, teller: Teller, left_alone: LeftAlone | None = None) -> Batch:
    """Take up to as many due jobs as are wanted, of queues with limits what the limits allow.

    Messages whose row does not answer are dropped: they are stale, or the relay publishes them again when
    their time has come. Raises BrokerUnavailable, or the database's error; then no job was claimed and the
    messages are back in their queues. With several databases, one that fails does not keep the jobs of the
    others from being claimed; nor does one that hangs, if `left_alone` has threads, and then none raises.
    """
    started = time.monotonic()
    if left_alone is not None and not left_alone.threads.are_used:
        left_alone = None
    taken = _take(identity, wanted, IN_TURN if left_alone is None else left_alone.threads)
    if not taken.messages:
        return Batch([], taken.pause)
    by_database = _by_database(taken.messages)
    if left_alone is None:
        answers = _ask_in_turn(by_database, identity, wanted)
    else:
        answers = _ask_side_by_side(by_database, identity, wanted, left_alone)
    for using, answer in answers.items():
        if answer.dropped:
            _drop(answer.dropped, using, identity, teller)
    refused = [message for answer in answers.values() for message in answer.refused]
    if refused:
        _put_back(refused, identity)
    parked = [message for answer in answers.values() for message in answer.parked]
    if parked:
        _forget_parked(parked, identity, wanted.limits)
    claims = _claims_of(list(answers.values()), taken.messages, raises=left_alone is None)
    if wanted.limits and time.monotonic() - started > _LATE_START:
        _count_late_starts(claims, wanted.limits)
    return Batch(claims, _pause(taken.pause, is_refused=bool(refused)), len(parked))


# Redis --------------------------------------------------------------------------------------------


def _take(identity: Identity, wanted: Wanted, threads: DatabaseThreads) -> queues.Taken:
    """Take messages from Redis; foreign ones are looked after, and what is adopted may be among the next."""
    for _ in range(_MOST_TRIES):
        taken = queues.claim(
            wanted.queues, wanted.count, identity.id.hex, identity.name, wanted.limits, wanted.free
        )
        adopted = _look_after(taken.quarantined, threads) if taken.quarantined else 0
        if taken.messages or not adopted:
            break
    return taken


def _look_after(quarantined: list[tuple[str, str]], threads: DatabaseThreads) -> int:
    adopted: list[int] = []
    try:
        threads.each(lambda _using: adopted.append(plain_rq.look_after(quarantined)), [plain_rq.database()])
    except Exception as error:
        # The messages that came with them must not wait; these are noted in Redis.
        logger.warning("foreign messages wait: %s: %s", type(error).__name__, error)
    return sum(adopted)


def _put_back(messages: Sequence[Message], identity: Identity) -> None:
    try:
        queues.put_back(messages, identity.id.hex)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d messages again: %s", len(messages), error)


def _forget_parked(
    messages: Sequence[Message], identity: Identity, limits: Mapping[str, QueueLimits]
) -> None:
    """Take them out of Redis; they did not start, so no limit of their queues counts them."""
    try:
        queues.park(messages, identity.id.hex)
        for queue, number in Counter(message.queue for message in messages).items():
            if (limit := limits.get(queue)) is not None and limit.rate is not None:
                RateLimit(limit.rate, queue=queue).give_back(number)
    except BrokerUnavailable as error:
        logger.warning("%d messages of parked jobs are swept later: %s", len(messages), error)


def _count_late_starts(claims: list[Claim], limits: Mapping[str, QueueLimits]) -> None:
    started = Counter(claimed.job.queue for claimed in claims)
    late = {
        queue: (number, limit.rate)
        for queue, number in started.items()
        if (limit := limits.get(queue)) is not None and limit.rate is not None
    }
    try:
        count_late_starts(late)
    except BrokerUnavailable as error:
        logger.warning("Redis did not take the late starts of %d jobs: %s", len(claims), error)


# Rows ---------------------------------------------------------------------------------------------


def _by_database(messages: list[Message]) -> dict[str, list[Message]]:
    by_database: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_database[message.using].append(message)
    return by_database


def _ask_in_turn(
    by_database: Mapping[str, list[Message]], identity: Identity, wanted: Wanted
) -> dict[str, _Answer]:
    """What these messages lead to; those of a database that fails are put back."""
    answers = {}
    for using, messages in by_database.items():
        answers[using] = answer = _ask_rows(using, messages, identity, wanted)
        if answer.left:
            _put_back(answer.left, identity)
    return answers


def _ask_side_by_side(
    by_database: Mapping[str, list[Message]],
    identity: Identity,
    wanted: Wanted,
    left_alone: LeftAlone,
) -> dict[str, _Answer]:
    """Likewise; what fails is left alone for a while. `InHand` hands back what is claimed too late."""
    answers: dict[str, _Answer] = {}

    def ask(using: str) -> None:
        answer = _ask_rows(using, by_database[using], identity, wanted)
        if answer.error is not None:
            left_alone.note_failure(using, answer.left)
        answers[using] = answer

    left_alone.each(ask, by_database)
    return dict(answers)


def _ask_rows(using: str, messages: list[Message], identity: Identity, wanted: Wanted) -> _Answer:
    """What these messages lead to."""
    if using not in connections:
        logger.error("dropped %d messages of the unknown database %r", len(messages), using)
        return _Answer([], dropped=messages)
    if is_left_out(using):
        # Put back they would stand in the way of others; who serves that database publishes them again.
        return _Answer([], dropped=messages)
    try:
        if using in identity.absent:
            raise OperationalError(f"the database {using!r} does not know this worker yet")
        if _careful_until and time.monotonic() < _careful_until.get(using, 0.0):
            return _claim_apart(using, messages, identity, wanted)
        return _claim_rows(using, messages, identity, wanted)
    except Exception as error:
        if using not in databases():
            # Back at the front of its queue it would come first again and again.
            logger.error("dropped %d messages of the database %r: %s", len(messages), using, error)
            return _Answer([], dropped=messages)
        if may_be_of_a_row(error):
            _careful_until[using] = time.monotonic() + _CAREFUL_FOR
            return _claim_apart(using, messages, identity, wanted)
        return _Answer([], error=error, left=messages)


def _claim_rows(using: str, messages: Sequence[Message], identity: Identity, wanted: Wanted) -> _Answer:
    """Make the rows of these messages ours, as far as the limits of their queues let them start."""
    if not wanted.parks:
        return _claim_allowed(using, messages, identity, wanted)
    limited = parking.park(jobs_in(using), [_key(message) for message in messages], wanted.parks)

    def those(keys: Container[tuple[int, int]]) -> list[Message]:
        return [message for message in messages if _key(message) in keys]

    others = [message for message in messages if _key(message) not in limited.all]
    answer = _claim_allowed(using, others, identity, wanted)
    refused, dropped = [*answer.refused, *those(limited.locked)], [*answer.dropped, *those(limited.stale)]
    return answer._replace(refused=refused, dropped=dropped, parked=those(limited.parked))


def _claim_allowed(using: str, messages: Sequence[Message], identity: Identity, wanted: Wanted) -> _Answer:
    jobs, keys = jobs_in(using), [_key(message) for message in messages]
    unreadable: list[tuple[int, Exception]] = []
    concurrency = _concurrency_of(messages, wanted.limits)
    if not concurrency:
        allowed: Sequence[tuple[int, int]] = keys
        rows = transitions.claim(jobs, keys, identity.id, unreadable)
    else:
        # Redis counted already; but a Redis that was emptied does not know what runs.
        with writing(using):
            allowed = jobs.within_limits([(m.queue, m.job_id, m.attempt) for m in messages], concurrency)
            rows = transitions.claim(jobs, allowed, identity.id, unreadable)
    for job_id, error in unreadable:
        _set_aside(using, job_id, error, identity)
    return _sorted(messages, allowed, rows, using)


def _claim_apart(using: str, messages: Sequence[Message], identity: Identity, wanted: Wanted) -> _Answer:
    """Likewise, where one of them raises: it is set aside, and the others are claimed."""

    def claim_some(some: Sequence[Message]) -> _Answer:
        # SQLite commits what it then cannot give back as text.
        with writing(using):
            return _claim_rows(using, some, identity, wanted)

    found = take_apart(messages, claim_some)
    claims = [claimed for answer in found.done for claimed in answer.claims]
    refused = [message for answer in found.done for message in answer.refused]
    dropped = [message for answer in found.done for message in answer.dropped]
    parked = [message for answer in found.done for message in answer.parked]
    error = found.error
    for message, its_error in found.refused:
        if _set_aside(using, message.job_id, its_error, identity):
            dropped.append(message)
        else:
            found.left.append(message)
            error = error or its_error
    return _Answer(claims, refused, dropped, error, found.left, parked)


def _set_aside(using: str, job_id: int, error: Exception, identity: Identity) -> bool:
    def claim_healthy(job: Job) -> None:
        [_claimed] = transitions.claim(jobs_in(using), [(job.pk, job.attempt)], identity.id)

    return blame(jobs_in(using).free_or_held_by(identity.id).filter(pk=job_id), error, claim_healthy)


def _concurrency_of(messages: Sequence[Message], limits: Mapping[str, QueueLimits]) -> dict[str, int]:
    """The most jobs that may run at once, by queue, of those queues here that have such a limit."""
    return {
        queue: limit.concurrency
        for queue in {message.queue for message in messages}
        if (limit := limits.get(queue)) is not None and limit.concurrency is not None
    }


def _sorted(
    messages: Sequence[Message], allowed: Sequence[tuple[int, int]], rows: list[Job], using: str
) -> _Answer:
    """Tell the messages whose rows are ours now from those that limits did not allow and from stale ones."""
    claims = [Claim(job, using) for job in rows]
    if len(claims) == len(messages):
        return _Answer(claims)
    claimed, may_start = {(job.pk, job.attempt) for job in rows}, set(allowed)
    stale = may_start - claimed
    # Not dropped: whoever drops them rings for the next ones, and all that wait would come by in turn.
    refused = [message for message in messages if _key(message) not in may_start]
    dropped = [message for message in messages if _key(message) in stale]
    return _Answer(claims, refused, dropped)


def _key(message: Message) -> tuple[int, int]:
    return message.job_id, message.attempt


def _drop(messages: Sequence[Message], using: str, identity: Identity, teller: Teller) -> None:
    """Forget claimed messages without a claimed row. Redis away must not lose the rows that were claimed.

    Rows that still wait are published again by the relay: their message came before its time.
    """
    logger.debug("dropped %d messages", len(messages))
    teller.tell(News([(message, False) for message in messages], identity.id.hex))
    if using in connections and not is_left_out(using):
        try:
            outbox.unpublish([_key(message) for message in messages], using)
        except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
            logger.warning("the relay will miss the dropped messages later: %s", error)


# Answers ------------------------------------------------------------------------------------------


def _claims_of(answers: list[_Answer], messages: list[Message], *, raises: bool) -> list[Claim]:
    """The claims of all databases in the order of their messages.

    If one failed and none claimed it `raises` its error.
    """
    claims = [claimed for answer in answers for claimed in answer.claims]
    errors = [answer.error for answer in answers if answer.error is not None]
    if errors:
        if raises and not claims:
            raise errors[-1]
        logger.warning("cannot claim all jobs for now: %s: %s", type(errors[-1]).__name__, errors[-1])
    if len(answers) > 1:
        order = {(message.using, message.job_id): index for index, message in enumerate(messages)}
        claims.sort(key=lambda claimed: order[claimed.using, claimed.job.pk])
    return claims


def _pause(pause: float | None, *, is_refused: bool) -> float | None:
    if not is_refused:
        return pause
    return _ASK_AGAIN if pause is None else min(pause, _ASK_AGAIN)
