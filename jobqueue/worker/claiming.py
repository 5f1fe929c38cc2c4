"""Batch jobs: messages from Redis, then the rows that they name."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from jobqueue import plain_rq
from jobqueue.broker import queues
from jobqueue.broker.limits import QueueLimits, count_late_starts
from jobqueue.broker.message import Message
from jobqueue.delivery import outbox
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, jobs_in, transitions
from jobqueue.worker import telling

logger = logging.getLogger("jobqueue.execution")

# What starts so many seconds after its claim counts again for the rate limit of its queue; see RATE_WINDOW.
_LATE_START = 0.05
# Rows may know of more running jobs than Redis; then Redis is asked again after so many seconds.
_ASK_AGAIN = 0.25
# How often one claim asks Redis again because only foreign messages came.
_MOST_TRIES = 50


@dataclass(frozen=True, slots=True)
class Holder:
    """Who claims: the id that guards its claims, its name, and the queues it serves."""

    id: uuid.UUID
    name: str
    queues: Sequence[str] = field(default_factory=tuple)


class Claim(NamedTuple):
    """A job that is ours to run, and the database it lives in."""

    job: Job
    using: str

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells this claim from all others."""
        return self.using, self.job.pk, self.job.attempt


class Batch(NamedTuple):
    """What one claim brought. `pause`: seconds until a limit may let the next job go, if one holds it."""

    jobs: list[Claim]
    pause: float | None


def claim(holder: Holder, count: int, served: Sequence[str] | None = None) -> list[Claim]:
    """Take up to `count` due jobs for this worker, queues in order of priority; see `claim_within`."""
    return claim_within({}, holder, count, served if served is not None else holder.queues).jobs


def claim_within(
    limits: Mapping[str, QueueLimits],
    holder: Holder,
    count: int,
    served: Sequence[str],
    free: int | None = None,
) -> Batch:
    """Take up to `count` due jobs, of queues with limits at most `free` and what the limits allow.

    Messages whose row does not answer are dropped: they are stale, or the relay publishes them again when
    their time has come. Raises BrokerUnavailable, or the database's error; then no job was claimed and the
    messages are back in their queues. With several databases, one that fails does not keep the jobs of the
    others from being claimed.
    """
    started = time.monotonic()
    taken = _take(limits, holder, count, served, free)
    if not taken.messages:
        return Batch([], taken.pause)
    by_database: dict[str, list[Message]] = defaultdict(list)
    for message in taken.messages:
        by_database[message.using].append(message)
    claims: list[Claim] = []
    refused: list[Message] = []
    failed: Exception | None = None
    for using, messages in by_database.items():
        try:
            claims += _claim_rows(using, messages, holder, limits, refused)
        except Exception as error:
            failed = error
            _put_back(messages, holder)
    if refused:
        _put_back(refused, holder)
    if failed is not None:
        if not claims:
            raise failed
        logger.warning("cannot claim all jobs for now: %s: %s", type(failed).__name__, failed)
    if len(by_database) > 1:
        order = {(message.using, message.job_id): index for index, message in enumerate(taken.messages)}
        claims.sort(key=lambda claimed: order[claimed.using, claimed.job.pk])
    if limits and time.monotonic() - started > _LATE_START:
        _count_late_starts(claims, limits)
    pause = taken.pause
    if refused:
        pause = _ASK_AGAIN if pause is None else min(pause, _ASK_AGAIN)
    return Batch(claims, pause)


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


def _take(
    limits: Mapping[str, QueueLimits],
    holder: Holder,
    count: int,
    served: Sequence[str],
    free: int | None,
) -> queues.Taken:
    """Take messages from Redis; foreign ones are looked after, and what is adopted may be among the next."""
    for _ in range(_MOST_TRIES):
        taken = queues.claim(served, count, holder.id.hex, holder.name, limits, free)
        adopted = _look_after(taken.quarantined) if taken.quarantined else 0
        if taken.messages or not adopted:
            break
    return taken


def _look_after(quarantined: list[tuple[str, str]]) -> int:
    try:
        return plain_rq.look_after(quarantined)
    except Exception as error:
        # The messages that came with them must not wait; these are noted in Redis.
        logger.warning("foreign messages wait: %s: %s", type(error).__name__, error)
        return 0


def _claim_rows(
    using: str,
    messages: list[Message],
    holder: Holder,
    limits: Mapping[str, QueueLimits],
    refused: list[Message],
) -> list[Claim]:
    """The rows of these messages that are ours now; `refused` gets those that a limit keeps waiting."""
    if using not in connections:
        logger.error("dropped %d messages of the unknown database %r", len(messages), using)
        _drop(messages, holder)
        return []
    jobs = jobs_in(using)
    limited = {
        queue: limit.concurrency
        for queue in {message.queue for message in messages}
        if (limit := limits.get(queue)) is not None and limit.concurrency is not None
    }
    if limited:
        # Redis counted already; but a Redis that was emptied does not know what runs.
        with transaction.atomic(using=using):
            allowed = jobs.within_limits([(m.queue, m.job_id, m.attempt) for m in messages], limited)
            rows = transitions.claim(jobs, allowed, holder.id)
        # Not dropped: whoever drops them rings for the next ones, and all that wait would come by in turn.
        may_start = set(allowed)
        refused += [m for m in messages if (m.job_id, m.attempt) not in may_start]
        messages = [m for m in messages if (m.job_id, m.attempt) in may_start]
    else:
        rows = transitions.claim(jobs, [(message.job_id, message.attempt) for message in messages], holder.id)
    if len(rows) < len(messages):
        claimed = {(job.pk, job.attempt) for job in rows}
        dropped = [message for message in messages if (message.job_id, message.attempt) not in claimed]
        _drop(dropped, holder)
        _leave_to_the_relay(dropped, using)
    return [Claim(job, using) for job in rows]


def _drop(messages: list[Message], holder: Holder) -> None:
    """Forget claimed messages without a claimed row. Redis away must not lose the rows that were claimed."""
    logger.debug("dropped %d messages", len(messages))
    telling.tell([(message, False) for message in messages], holder.id.hex, {})


def _leave_to_the_relay(messages: list[Message], using: str) -> None:
    """Rows of dropped messages that still wait are published again: the message came before its time."""
    try:
        outbox.unpublish([(message.job_id, message.attempt) for message in messages], using)
    except DatabaseError as error:
        logger.warning("the relay will miss the dropped messages later: %s", error)


def _put_back(messages: list[Message], holder: Holder) -> None:
    try:
        queues.put_back(messages, holder.id.hex)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d messages again: %s", len(messages), error)
