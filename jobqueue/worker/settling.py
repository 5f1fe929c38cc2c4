"""Writes outcomes down, then tells Redis and the listeners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from django.db import transaction
from django.dispatch import Signal

from jobqueue import plain_rq, signals
from jobqueue.broker.message import Message
from jobqueue.models import Attempt, Job, jobs_in, transitions
from jobqueue.worker import telling
from jobqueue.worker.claiming import Holder
from jobqueue.worker.outcomes import DONE, Outcome, OutcomeStatus, count_outcomes
from jobqueue.worker.performing import clean


def settle(
    outcomes: Sequence[Outcome], holder: Holder, tell: Callable[[], object] | None = None
) -> list[Outcome]:
    """Write the outcomes down, then tell Redis and the listeners.

    `tell` makes somebody else call `tell_redis`, so that a Redis that hangs holds up no row.

    Returns those that counted: an outcome whose claim was taken away meanwhile changes nothing.
    Raises the database's error if not all could be written; settling all of them again is safe.
    """
    settled: list[Outcome] = []
    by_database: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_database[outcome.using].append(outcome)
    try:
        for using, group in by_database.items():
            for outcome in _settle_rows(group, using, holder):
                settled.append(outcome)
    except Exception:
        # What is written already will not be ours the next time: it is told now.
        _tell_about(settled, settled, holder, tell)
        raise
    _tell_about(outcomes, settled, holder, tell)
    return settled


def _tell_about(
    outcomes: Sequence[Outcome],
    settled: list[Outcome],
    holder: Holder,
    tell: Callable[[], object] | None,
) -> None:
    """Redis forgets the messages of all, counts those that were settled; listeners hear of these."""
    if outcomes:
        _forget_messages(outcomes, settled, holder, tell)
    for outcome in settled:
        signals.send(_signal_of(outcome), Job, job=outcome.job, outcome=outcome)


def _settle_rows(outcomes: list[Outcome], using: str, holder: Holder) -> Iterator[Outcome]:
    """Write the outcomes down; each one that counts, as soon as it is written."""
    done = [outcome for outcome in outcomes if outcome.status in DONE]
    ours = transitions.complete(
        jobs_in(using),
        [(outcome.job.pk, outcome.job.attempt, clean(outcome.reason, 498)) for outcome in done],
        holder.id,
    )
    yield from (outcome for outcome in done if outcome.job.pk in ours)
    for outcome in outcomes:
        if outcome.status not in DONE:
            with transaction.atomic(using=using):
                is_ours = _settle_failure(outcome, using, holder)
            if is_ours:
                yield outcome


def _settle_failure(outcome: Outcome, using: str, holder: Holder) -> bool:
    job = outcome.job
    failures = job.failures + (1 if outcome.failure and outcome.counts else 0)
    reason = clean(outcome.reason, 498)
    if outcome.status == OutcomeStatus.FAILED:
        changed = transitions.fail(jobs_in(using), job, holder.id, failures=failures, reason=reason)
    else:
        delay = outcome.delay or timedelta(0)
        changed = transitions.run_again(
            jobs_in(using), job, holder.id, failures=failures, reason=reason, delay=delay
        )
    if changed and outcome.failure:
        Attempt.objects.using(using).create(
            job_id=job.pk,
            number=job.attempt,
            error_class=outcome.failure.error_class,
            message=outcome.failure.message,
            traceback=outcome.failure.traceback,
            worker_name=holder.name,
            started_at=job.started_at,
        )
    return bool(changed)


def _forget_messages(
    outcomes: Sequence[Outcome],
    settled: list[Outcome],
    holder: Holder,
    tell: Callable[[], object] | None,
) -> None:
    counted = {id(outcome) for outcome in settled}
    messages = [
        (
            Message(outcome.job.queue, outcome.job.pk, outcome.job.attempt, outcome.using),
            id(outcome) in counted and outcome.status in DONE,
        )
        for outcome in outcomes
    ]
    reports = [
        report
        for outcome in settled
        if outcome.status != OutcomeStatus.RETRIED
        and (report := plain_rq.report_of(outcome.job, is_failed=outcome.status == OutcomeStatus.FAILED))
    ]
    telling.tell(messages, holder.id.hex, count_outcomes(settled), tell, reports)


def _signal_of(outcome: Outcome) -> Signal:
    if outcome.status in DONE:
        return signals.job_completed
    return signals.job_retried if outcome.status == OutcomeStatus.RETRIED else signals.job_failed
