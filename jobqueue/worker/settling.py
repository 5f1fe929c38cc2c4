"""Writes outcomes down, many at a time, and says what Redis and the listeners are to hear of them."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.dispatch import Signal

from jobqueue import plain_rq, signals
from jobqueue.broker.message import Message
from jobqueue.delivery.apart import blame
from jobqueue.models import Attempt, Job, jobs_in, stopping, transitions
from jobqueue.plain_rq import Report
from jobqueue.sql.texts import clean
from jobqueue.sql.writing import writing
from jobqueue.worker import log_lines, outages
from jobqueue.worker.charted import chart_of
from jobqueue.worker.claiming import Identity
from jobqueue.worker.outcomes import DONE, Outcome, OutcomeStatus, count_outcomes
from jobqueue.worker.telling import News, Teller

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch of outcomes."""

    outcomes: Sequence[Outcome]
    """Those dealt with, which Redis is to forget."""
    counted: list[Outcome]
    """Those of them that were written; the claims of the others had been taken away meanwhile."""
    error: Exception | None = None
    """Why not all were dealt with; then settling the whole batch again is safe."""


def settle_and_tell(outcomes: Sequence[Outcome], identity: Identity, teller: Teller) -> list[Outcome]:
    """Write the outcomes down, then have Redis and the listeners told.

    Returns those that counted: an outcome whose claim was taken away meanwhile changes nothing.
    Raises the database's error if not all could be written: the others are those that are not `is_settled`.
    """
    settled = settle(outcomes, identity)
    if settled.outcomes:
        teller.tell_soon(news_of(settled, identity))
    announce(settled.counted)
    if settled.error is not None:
        raise settled.error
    return settled.counted


def settle(outcomes: Sequence[Outcome], identity: Identity) -> Settled:
    """Write the outcomes down."""
    counted: list[Outcome] = []
    by_database: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_database[outcome.using].append(outcome)
    try:
        for using, group in by_database.items():
            for outcome in _settle_rows(group, using, identity):
                counted.append(outcome)
    except Exception as error:
        # What is written already will not be ours the next time: it is to be told now.
        return Settled(counted, counted, error)
    return Settled(outcomes, counted)


def news_of(settled: Settled, identity: Identity) -> News:
    """What Redis is to be told: it forgets the messages of all, and counts those that counted."""
    counted = {id(outcome) for outcome in settled.counted}
    messages = [
        (
            Message(outcome.job.queue, outcome.job.pk, outcome.job.attempt, outcome.using),
            id(outcome) in counted and outcome.status in DONE,
        )
        for outcome in settled.outcomes
    ]
    amounts, reports = _told_of(settled.counted)
    return News(messages, identity.id.hex, amounts, reports, chart_of(settled.counted))


def _told_of(counted: Sequence[Outcome]) -> tuple[dict[str, float], list[Report]]:
    """What is added to the counters, and the reports on adopted jobs.

    The rows are written: an outcome that cannot be told of is left out, and the others are told.
    """
    try:
        return count_outcomes(counted), _reports_on(counted)
    except Exception as error:
        if len(counted) == 1:
            _log_untold(counted[0], error)
            return {}, []
    amounts: Counter[str] = Counter()
    reports: list[Report] = []
    for outcome in counted:
        of_one, report = _told_of([outcome])
        amounts.update(of_one)
        reports += report
    return dict(amounts), reports


def _log_untold(outcome: Outcome, error: Exception) -> None:
    # Not its text: it may quote the payload.
    logger.error(
        "job %s is settled (%s), and only the counters lack it: %s",
        outcome.job.pk,
        outcome.status,
        type(error).__name__,
    )


def _reports_on(counted: Sequence[Outcome]) -> list[Report]:
    return [
        report
        for outcome in counted
        if outcome.status != OutcomeStatus.RETRIED
        and (report := plain_rq.report_of(outcome.job, is_failed=outcome.status not in DONE))
    ]


def announce(counted: Sequence[Outcome]) -> None:
    """Tell the listeners of outcomes that were written."""
    for outcome in counted:
        if outcome.status in DONE:
            signals.send(signals.job_completed, Job, job=outcome.job, outcome=outcome)
        elif outcome.status != OutcomeStatus.STOPPED:  # `job_cancelled` was sent
            error = outcome.exception
            signals.send(_signal_of(outcome), Job, job=outcome.job, outcome=outcome, exception=error)


def _signal_of(outcome: Outcome) -> Signal:
    return signals.job_retried if outcome.status == OutcomeStatus.RETRIED else signals.job_failed


def _settle_rows(outcomes: list[Outcome], using: str, identity: Identity) -> Iterator[Outcome]:
    """Write the outcomes down; each one that counts, as soon as it is written."""
    done = [outcome for outcome in outcomes if outcome.status in DONE]
    ours = _complete(done, using, identity)
    for outcome in done:
        if outcome.job.pk in ours:
            outcome.is_settled = True
            yield outcome
    for outcome in outcomes:
        if outcome.status not in DONE:
            with writing(using):
                final = outages.decided(outcome) if outcome.is_outage else outcome
                written = _settle_failure(final, using, identity) or _settle_stop(final, using, identity)
                if written is not None:
                    log_lines.write([outcome.job], using)
            if written is not None:
                outcome.is_settled = True
                yield written


def _complete(done: Sequence[Outcome], using: str, identity: Identity) -> set[int]:
    """The ids of those that are completed; what they logged is there as soon as that is."""
    told = [(outcome.job.pk, outcome.job.attempt, clean(outcome.reason, 498)) for outcome in done]
    logged = [outcome.job for outcome in done if log_lines.has_logged(outcome.job)]
    if not logged:
        return transitions.complete(jobs_in(using), told, identity.id)
    with writing(using):
        ours = transitions.complete(jobs_in(using), told, identity.id)
        log_lines.write([job for job in logged if job.pk in ours], using)
    return ours


def _settle_stop(outcome: Outcome, using: str, identity: Identity) -> Outcome | None:
    """Of a job whose stop was asked for, whatever its end was: it did not complete. None if it was not."""
    if not stopping.end(outcome.job, identity.id, using):
        return None
    if outcome.failure:
        _record_attempt(outcome, using, identity, is_retried=False)
    return replace(outcome, status=OutcomeStatus.STOPPED, counts=False, is_outage=False)


def _settle_failure(outcome: Outcome, using: str, identity: Identity) -> Outcome | None:
    """The outcome, if it was written: a claim that was taken away, or is to stop, is left alone.

    A processor that raises JobStopped though nobody asked for its stop has failed.
    """
    job = outcome.job
    failures = job.failures + (1 if outcome.failure and outcome.counts else 0)
    reason = clean(outcome.reason, 498)
    if outcome.status == OutcomeStatus.STOPPED:
        outcome = replace(outcome, status=OutcomeStatus.FAILED)
    if outcome.status == OutcomeStatus.FAILED:
        changed = transitions.fail(
            jobs_in(using), job, identity.id, failures=failures, reason=reason, cause=outcome.cause
        )
    else:
        delay = outcome.delay or timedelta(0)
        changed = transitions.run_again(
            jobs_in(using), job, identity.id, failures=failures, reason=reason, delay=delay
        )
    if changed and outcome.failure:
        is_retried = outcome.status == OutcomeStatus.RETRIED
        _record_attempt(outcome, using, identity, is_retried=is_retried)
    return outcome if changed else None


def _record_attempt(outcome: Outcome, using: str, identity: Identity, *, is_retried: bool) -> None:
    assert outcome.failure is not None
    attempts = Attempt.objects.using(using)
    (attempts.record_outage if outcome.is_outage else attempts.record)(
        outcome.job,
        error_class=outcome.failure.error_class,
        message=outcome.failure.message,
        traceback=outcome.failure.traceback,
        worker_name=identity.name,
        is_retried=is_retried,
    )


def set_aside(outcome: Outcome, identity: Identity, error: Exception) -> bool:
    """Set the job aside, whose row takes no outcome, if a healthy row takes this one. Whether it was."""
    using = outcome.using

    def settle_healthy(job: Job) -> None:
        [claimed] = transitions.claim(jobs_in(using), [(job.pk, job.attempt)], identity.id)
        for _written in _settle_rows([replace(outcome, job=claimed)], using, identity):
            pass

    row = jobs_in(using).active().filter(pk=outcome.job.pk, worker_id=identity.id)
    return blame(row, error, settle_healthy)
