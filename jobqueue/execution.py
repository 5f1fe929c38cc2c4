"""The run of a batch of jobs as named steps: claim, perform, settle. Each can be tested alone."""

from __future__ import annotations

import logging
import threading
import time
import traceback
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction
from django.db.models.functions import Now
from django.dispatch import Signal

from jobqueue import events, foreign, outbox, queues
from jobqueue.context import current_database, current_job, running
from jobqueue.counting import count_outcomes
from jobqueue.exceptions import BrokerUnavailable, JobQueueError, RetryLater, UnknownProcessor
from jobqueue.models import SKIPPED_PREFIX, Attempt, Job, jobs_in
from jobqueue.registry import Processor, Skipped, get_processor, retry_policy_of

__all__ = ["Outcome", "OutcomeStatus", "claim", "current_database", "current_job", "perform", "settle"]

logger = logging.getLogger("jobqueue.execution")

_LONGEST_NAME = 198
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 20_000
# What starts so many seconds after its claim counts again for the rate limit of its queue; see claim.lua.
_LATE_START = 0.05
# Rows may know of more running jobs than Redis; then Redis is asked again after so many seconds.
_ASK_AGAIN = 0.25
# How often one claim asks Redis again because only foreign messages came.
_MOST_TRIES = 50
# A time that no database or calendar has would keep the outcome from being written down.
_LONGEST_DELAY = timedelta(days=36_500)


class OutcomeStatus(StrEnum):
    """How one run of a job ended; the `status` label of the metrics."""

    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    SKIPPED = "skipped"


_DONE = (OutcomeStatus.COMPLETED, OutcomeStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one attempt."""

    error_class: str
    message: str
    traceback: str


@dataclass(slots=True)
class Outcome:
    """How one run of one job ended.

    `delay` says when a retried one runs again, `counts` whether its failure takes one from the budget of
    retries.
    """

    job: Job
    database: str
    status: OutcomeStatus
    seconds: float
    reason: str = ""
    delay: timedelta | None = None
    failure: Failure | None = None
    counts: bool = True

    @property
    def processor(self) -> Processor | None:
        """The job's processor; None if it is not registered here."""
        try:
            return get_processor(self.job.processor)
        except UnknownProcessor:
            return None


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: the id that guards its claims, its name, and the queues it serves."""

    id: uuid.UUID
    name: str
    queues: Sequence[str] = field(default_factory=tuple)


class Claim(NamedTuple):
    """A job that is ours to run, and the database it lives in."""

    job: Job
    database: str

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells this claim from all others."""
        return self.database, self.job.pk, self.job.attempt


class Claims(NamedTuple):
    """What one claim brought. `pause`: seconds until a limit may let the next job go, if one holds it."""

    jobs: list[Claim]
    pause: float | None


# Claim --------------------------------------------------------------------------------------------


def claim(claimant: Claimant, count: int, served: Sequence[str] | None = None) -> list[Claim]:
    """Take up to `count` due jobs for this worker, queues in order of priority; see `claim_within`."""
    return claim_within({}, claimant, count, served if served is not None else claimant.queues).jobs


def claim_within(
    limits: Mapping[str, queues.QueueLimits],
    claimant: Claimant,
    count: int,
    served: Sequence[str],
    free: int | None = None,
) -> Claims:
    """Take up to `count` due jobs, of queues with limits at most `free` and what the limits allow.

    Messages whose row does not answer are dropped: they are stale, or the relay publishes them again when
    their time has come. Raises BrokerUnavailable, or the database's error; then no job was claimed and the
    messages are back in their queues. With several databases, one that fails does not keep the jobs of the
    others from being claimed.
    """
    started = time.monotonic()
    taken = _take(limits, claimant, count, served, free)
    if not taken.messages:
        return Claims([], taken.pause)
    by_database: dict[str, list[queues.Message]] = defaultdict(list)
    for message in taken.messages:
        by_database[message.database].append(message)
    claims: list[Claim] = []
    refused: list[queues.Message] = []
    failed: Exception | None = None
    for database, messages in by_database.items():
        try:
            claims += _claim_rows(database, messages, claimant, limits, refused)
        except Exception as error:
            failed = error
            _put_back(messages, claimant)
    if refused:
        _put_back(refused, claimant)
    if failed is not None:
        if not claims:
            raise failed
        logger.warning("cannot claim all jobs for now: %s: %s", type(failed).__name__, failed)
    if len(by_database) > 1:
        order = {(message.database, message.job_id): index for index, message in enumerate(taken.messages)}
        claims.sort(key=lambda claimed: order[claimed.database, claimed.job.pk])
    if limits and time.monotonic() - started > _LATE_START:
        _count_late_starts(claims, limits)
    pause = taken.pause
    if refused:
        pause = _ASK_AGAIN if pause is None else min(pause, _ASK_AGAIN)
    return Claims(claims, pause)


def _count_late_starts(claims: list[Claim], limits: Mapping[str, queues.QueueLimits]) -> None:
    started = Counter(claimed.job.queue for claimed in claims)
    late = {
        queue: (number, limit.rate)
        for queue, number in started.items()
        if (limit := limits.get(queue)) is not None and limit.rate is not None
    }
    try:
        queues.count_late_starts(late)
    except BrokerUnavailable as error:
        logger.warning("Redis did not take the late starts of %d jobs: %s", len(claims), error)


def _take(
    limits: Mapping[str, queues.QueueLimits],
    claimant: Claimant,
    count: int,
    served: Sequence[str],
    free: int | None,
) -> queues.Claimed:
    """Take messages from Redis; foreign ones are looked after, and what is adopted may be among the next."""
    for _ in range(_MOST_TRIES):
        taken = queues.claim(served, count, claimant.id.hex, claimant.name, limits, free)
        adopted = _look_after(taken.quarantined) if taken.quarantined else 0
        if taken.messages or not adopted:
            break
    return taken


def _look_after(quarantined: list[tuple[str, str]]) -> int:
    try:
        return foreign.look_after(quarantined)
    except Exception as error:
        # The messages that came with them must not wait; these are noted in Redis.
        logger.warning("foreign messages wait: %s: %s", type(error).__name__, error)
        return 0


def _claim_rows(
    database: str,
    messages: list[queues.Message],
    claimant: Claimant,
    limits: Mapping[str, queues.QueueLimits],
    refused: list[queues.Message],
) -> list[Claim]:
    """The rows of these messages that are ours now; `refused` gets those that a limit keeps waiting."""
    if database not in connections:
        logger.error("dropped %d messages of the unknown database %r", len(messages), database)
        _drop(messages, claimant)
        return []
    jobs = jobs_in(database)
    limited = {
        queue: limit.concurrency
        for queue in {message.queue for message in messages}
        if (limit := limits.get(queue)) is not None and limit.concurrency is not None
    }
    if limited:
        # Redis counted already; but a Redis that was emptied does not know what runs.
        with transaction.atomic(using=database):
            allowed = jobs.within_limits([(m.queue, m.job_id, m.attempt) for m in messages], limited)
            rows = jobs.claim(allowed, claimant.id)
        # Not dropped: whoever drops them rings for the next ones, and all that wait would come by in turn.
        may_start = set(allowed)
        refused += [m for m in messages if (m.job_id, m.attempt) not in may_start]
        messages = [m for m in messages if (m.job_id, m.attempt) in may_start]
    else:
        rows = jobs.claim([(message.job_id, message.attempt) for message in messages], claimant.id)
    if len(rows) < len(messages):
        claimed = {(job.pk, job.attempt) for job in rows}
        dropped = [message for message in messages if (message.job_id, message.attempt) not in claimed]
        _drop(dropped, claimant)
        _leave_to_the_relay(dropped, database)
    return [Claim(job, database) for job in rows]


def _drop(messages: list[queues.Message], claimant: Claimant) -> None:
    """Forget claimed messages without a claimed row. Redis away must not lose the rows that were claimed."""
    logger.debug("dropped %d messages", len(messages))
    _tell([(message, False) for message in messages], claimant.id.hex, {})


def _leave_to_the_relay(messages: list[queues.Message], database: str) -> None:
    """Rows of dropped messages that still wait are published again: the message came before its time."""
    try:
        outbox.unpublish([(message.job_id, message.attempt) for message in messages], database)
    except DatabaseError as error:
        logger.warning("the relay will miss the dropped messages later: %s", error)


def _put_back(messages: list[queues.Message], claimant: Claimant) -> None:
    try:
        queues.put_back(messages, claimant.id.hex)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d messages again: %s", len(messages), error)


# Perform ------------------------------------------------------------------------------------------


def perform(claimed: Claim, limit: Callable[[Job], AbstractContextManager[object]] | None = None) -> Outcome:
    """Run the job's processor; whatever it does becomes an outcome, nothing is raised.

    `limit` guards the call with the job's time limit.
    """
    job, database = claimed
    events.send(events.job_started, Job, job=job)
    started = time.perf_counter()
    try:
        with running(job, database), limit(job) if limit else nullcontext():
            answer = get_processor(job.processor).function(**job.payload)
    except RetryLater as later:
        delay = min(later.delay, _LONGEST_DELAY)
        failure = _failure_of(later.error) if later.error is not None else None
        return Outcome(
            job, database, OutcomeStatus.RETRIED, _since(started), str(later.reason), delay, failure, False
        )
    except BaseException as error:  # also a SystemExit raised by a job ends only the job
        return _failed_outcome(claimed, error, _since(started))
    if isinstance(answer, Skipped):
        return Outcome(
            job, database, OutcomeStatus.SKIPPED, _since(started), f"{SKIPPED_PREFIX}{answer.reason}"
        )
    return Outcome(job, database, OutcomeStatus.COMPLETED, _since(started))


def _failed_outcome(claimed: Claim, error: BaseException, seconds: float) -> Outcome:
    job = claimed.job
    failure = _failure_of(error)
    delay = retry_policy_of(job.processor).next_delay(job.failures + 1, error)
    status = OutcomeStatus.FAILED if delay is None else OutcomeStatus.RETRIED
    reason = f"{failure.error_class}: {failure.message}"
    return Outcome(job, claimed.database, status, seconds, reason, delay, failure)


def _failure_of(error: BaseException) -> Failure:
    return Failure(
        _clean(type(error).__name__, _LONGEST_NAME),
        _clean(_text_of(error), _LONGEST_MESSAGE),
        _clean("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK),
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"the error's text cannot be had: {type(broken).__name__}"


def _clean(text: str, longest: int) -> str:
    """`text` as any database takes it: no NUL, no lone surrogates, the end kept if it is too long."""
    text = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= longest else "… " + text[-longest:]


# Settle -------------------------------------------------------------------------------------------


def settle(
    outcomes: Sequence[Outcome], claimant: Claimant, tell: Callable[[], object] | None = None
) -> list[Outcome]:
    """Write the outcomes down, then tell Redis and the listeners.

    `tell` makes somebody else call `tell_redis`, so that a Redis that hangs holds up no row.

    Returns those that counted: an outcome whose claim was taken away meanwhile changes nothing.
    Raises the database's error if not all could be written; settling all of them again is safe.
    """
    settled: list[Outcome] = []
    by_database: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_database[outcome.database].append(outcome)
    try:
        for database, group in by_database.items():
            for outcome in _settle_rows(group, database, claimant):
                settled.append(outcome)
    except Exception:
        # What is written already will not be ours the next time: it is told now.
        _tell_about(settled, settled, claimant, tell)
        raise
    _tell_about(outcomes, settled, claimant, tell)
    return settled


def _tell_about(
    outcomes: Sequence[Outcome],
    settled: list[Outcome],
    claimant: Claimant,
    tell: Callable[[], object] | None,
) -> None:
    """Redis forgets the messages of all, counts those that were settled; listeners hear of these."""
    if outcomes:
        _forget_messages(outcomes, settled, claimant, tell)
    for outcome in settled:
        events.send(_signal_of(outcome), Job, job=outcome.job, outcome=outcome)


def _settle_rows(outcomes: list[Outcome], database: str, claimant: Claimant) -> Iterator[Outcome]:
    """Write the outcomes down; each one that counts, as soon as it is written."""
    done = [outcome for outcome in outcomes if outcome.status in _DONE]
    ours = jobs_in(database).complete(
        [(outcome.job.pk, outcome.job.attempt, _clean(outcome.reason, 498)) for outcome in done], claimant.id
    )
    yield from (outcome for outcome in done if outcome.job.pk in ours)
    for outcome in outcomes:
        if outcome.status not in _DONE:
            with transaction.atomic(using=database):
                is_ours = _settle_failure(outcome, database, claimant)
            if is_ours:
                yield outcome


def _settle_failure(outcome: Outcome, database: str, claimant: Claimant) -> bool:
    job = outcome.job
    row = Job.objects.using(database).filter(
        pk=job.pk, attempt=job.attempt, worker_id=claimant.id, state=Job.State.ACTIVE
    )
    failures = job.failures + (1 if outcome.failure and outcome.counts else 0)
    if outcome.status == OutcomeStatus.FAILED:
        changed = row.update(
            state=Job.State.FAILED, failures=failures, finished_at=Now(), reason=_clean(outcome.reason, 498)
        )
    else:
        changed = row.update(
            state=Job.State.WAITING,
            failures=failures,
            attempt=job.attempt + 1,
            run_at=Now() + (outcome.delay or timedelta(0)),
            published_at=None,
            worker=None,
            reason=_clean(outcome.reason, 498),
        )
    if changed and outcome.failure:
        Attempt.objects.using(database).create(
            job_id=job.pk,
            number=job.attempt,
            error_class=outcome.failure.error_class,
            message=outcome.failure.message,
            traceback=outcome.failure.traceback,
            worker_name=claimant.name,
            started_at=job.started_at,
        )
    return bool(changed)


def _forget_messages(
    outcomes: Sequence[Outcome],
    settled: list[Outcome],
    claimant: Claimant,
    tell: Callable[[], object] | None,
) -> None:
    counted = {id(outcome) for outcome in settled}
    messages = [
        (
            queues.Message(outcome.job.queue, outcome.job.pk, outcome.job.attempt, outcome.database),
            id(outcome) in counted and outcome.status in _DONE,
        )
        for outcome in outcomes
    ]
    reports = [
        report
        for outcome in settled
        if outcome.status != OutcomeStatus.RETRIED
        and (report := foreign.report_of(outcome.job, is_failed=outcome.status == OutcomeStatus.FAILED))
    ]
    _tell(messages, claimant.id.hex, count_outcomes(settled), tell, reports)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What Redis has to be told about one settled batch."""

    messages: list[tuple[queues.Message, bool]]
    worker_id: str
    counters: dict[str, float]
    batch_id: str
    reports: list[foreign.Report]


# Batches that Redis did not take yet. The rows are right already; only RQ's registries and the
# counters wait. Bounded: after hours without Redis the oldest counts are given up.
_untold: deque[_Settled] = deque(maxlen=10_000)
_telling = threading.Lock()


def _tell(
    messages: list[tuple[queues.Message, bool]],
    worker_id: str,
    counters: dict[str, float],
    tell: Callable[[], object] | None = None,
    reports: Sequence[foreign.Report] = (),
) -> None:
    _untold.append(_Settled(messages, worker_id, counters, uuid.uuid4().hex, list(reports)))
    (tell or tell_redis)()


def tell_redis() -> bool:
    """Tell Redis about settled batches, the oldest first; False if some must wait until it is back."""
    with _telling:
        while _untold:
            settled = _untold[0]
            try:
                queues.finish(settled.messages, settled.worker_id, settled.counters, settled.batch_id)
                for report in settled.reports:
                    queues.report_adopted(*report)
            except BrokerUnavailable as error:
                logger.warning("Redis did not take the outcomes of %d jobs: %s", len(settled.messages), error)
                return False
            _untold.popleft()
    return True


def refuse_message(job_id: int, attempt: int) -> None:
    """What a worker that is not ours would call: it must not run the job, so it only says so."""
    raise JobQueueError(
        f"job {job_id} attempt {attempt} runs only in jobqueue's own worker: manage.py rqworker"
    )


def _signal_of(outcome: Outcome) -> Signal:
    if outcome.status in _DONE:
        return events.job_completed
    return events.job_retried if outcome.status == OutcomeStatus.RETRIED else events.job_failed
