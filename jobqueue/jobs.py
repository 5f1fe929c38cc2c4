"""The public door of the job queue: enqueue and cancel jobs, and what processors need.

A job is a row, written in the caller's transaction: it exists exactly if that transaction commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections, models, router
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue.current import current_database, current_job, report_progress
from jobqueue.current import running as running
from jobqueue.delivery.outbox import publish_on_commit
from jobqueue.exceptions import (
    Discard,
    InvalidJob,
    InvalidRunAt,
    InvalidUniqueKey,
    RetryLater,
    UnknownDatabase,
)
from jobqueue.masking import has_address, mask_addresses
from jobqueue.models import Job, jobs_in, subject_of, transitions
from jobqueue.payloads import check_payload
from jobqueue.registry import (
    Skipped,
    TypeCounter,
    check_queue,
    get_processor,
    processor,
    reconciler,
)
from jobqueue.retry import RetryPolicy
from jobqueue.sql.clock import about_now, database_now
from jobqueue.sql.databases import databases, in_each_database
from jobqueue.sql.replicas import written_through
from jobqueue.sql.writing import writing
from jobqueue.values import shown

__all__ = [
    "Discard",
    "NewJob",
    "RetryLater",
    "RetryPolicy",
    "Skipped",
    "TypeCounter",
    "about_now",
    "cancel",
    "current_database",
    "current_job",
    "database_now",
    "databases",
    "enqueue",
    "enqueue_many",
    "has_address",
    "in_each_database",
    "mask_addresses",
    "processor",
    "reconciler",
    "report_progress",
]

_BATCH = 1000
_LONGEST_TEXT = 200
_NOW = Now()
# Four digits of a year, in any time zone, and with room for the waits that may follow.
# Behind it lies only the time of what is held.
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def enqueue(
    processor: str,
    *,
    run_at: datetime | None = None,
    delay: timedelta | float | None = None,
    unique_key: str | None = None,
    subject: str | models.Model | None = None,
    using: str | None = None,
    **payload: Any,
) -> Job:
    """Write a job for `processor` with the keyword arguments `payload`, and publish it after the commit.

    `run_at` is an aware datetime, `delay` a timedelta or seconds from now; a past time or a negative delay
    means now, and the year 9000 and later are refused.
    While a job with the same `unique_key` waits for its first start, that job is returned instead
    of a second one, moved to the earlier of the two times; its payload stays. `subject` says what
    the job is about: a model instance or text such as `"settlements.settlement:<pk>"`. `using`
    is the database alias of the row that causes the job.

    Raises InvalidJob (UnknownProcessor, UnknownQueue, UnknownDatabase, InvalidPayload, PayloadTooLarge,
    InvalidRunAt, InvalidUniqueKey) before anything is written. After an error of the database the transaction
    around it, or the part of it up to the nearest savepoint, has to be rolled back.
    """
    using = _alias(using)
    job = _build(processor, payload)
    job.subject = _check_subject(subject)
    moment = _moment(run_at, delay, _Clock(using))
    if moment is not None:
        job.run_at = moment
    else:
        job.published_at = _NOW
    if unique_key is not None:
        job.unique_key = _check_text("unique_key", unique_key)
        return _insert_unique(job, using)
    transitions.insert(jobs_in(using), [job])
    publish_on_commit([job], using)
    return job


@dataclass(frozen=True, slots=True)
class NewJob:
    """One job for `enqueue_many` with options of its own, as `enqueue` takes them."""

    processor: str
    payload: dict[str, Any]
    run_at: datetime | None = None
    unique_key: str | None = None
    subject: str | models.Model | None = None


def enqueue_many(
    jobs: Iterable[tuple[str, dict[str, Any]] | NewJob],
    *,
    run_at: datetime | None = None,
    using: str | None = None,
) -> list[Job]:
    """Write many jobs, `(processor, payload)` or `NewJob` each: one INSERT and one push by thousand.

    All are checked before any is written. `run_at` counts for those that name no time of their own.
    A job whose `unique_key` is held is left out, as `enqueue` does; the one that holds it, moved to the
    earlier of the two times, stands in its place in the result. Raises like `enqueue`.
    """
    using = _alias(using)
    requests = [job if isinstance(job, NewJob) else _requested(job) for job in jobs]
    clock = _Clock(using)
    rows = [_build_requested(request, run_at, clock) for request in requests]
    with writing(using, savepoint=False):
        for start in range(0, len(rows), _BATCH):
            rows[start : start + _BATCH] = _insert_batch(rows[start : start + _BATCH], using)
            publish_on_commit(rows[start : start + _BATCH], using)
    return rows


def build(request: NewJob, using: str) -> Job:
    """The job that `enqueue` would write for this request, checked as there and not written yet."""
    return _build_requested(request, None, _Clock(using))


def _requested(job: Any) -> NewJob:
    if not isinstance(job, tuple) or len(job) != 2:
        raise InvalidJob(f"a job must be a pair (processor, payload) or a NewJob, not {shown(job)}")
    return NewJob(*job)


def _build_requested(request: NewJob, run_at: datetime | None, clock: _Clock) -> Job:
    job = _build(request.processor, request.payload)
    job.subject = _check_subject(request.subject)
    if request.unique_key is not None:
        job.unique_key = _check_text("unique_key", request.unique_key)
    moment = _moment(run_at if request.run_at is None else request.run_at, None, clock)
    if moment is None:
        job.published_at = _NOW
    else:
        job.run_at = moment
    return job


def _insert_batch(rows: list[Job], using: str) -> list[Job]:
    """Write the jobs whose unique key is free; the others' holders stand in their places."""
    if all(job.unique_key is None for job in rows):
        transitions.insert(jobs_in(using), rows)
        return rows
    distinct = _each_key_once(rows)
    by_key = {job.unique_key: job for job in transitions.insert_or_lock(jobs_in(using), distinct)}
    held = {job.unique_key: job for job in distinct if job.unique_key not in by_key}
    if held:
        by_key |= {holder.unique_key: holder for holder in _holders(held, using)}
    return [job if job.unique_key is None else by_key[job.unique_key] for job in rows]


def _each_key_once(rows: list[Job]) -> list[Job]:
    """Without the further jobs of a key, the first of which takes the earliest time of them all."""
    first_of: dict[str, Job] = {}
    distinct = []
    for job in rows:
        first = job if job.unique_key is None else first_of.setdefault(job.unique_key, job)
        if first is job:
            distinct.append(job)
        elif first.published_at is None and _is_earlier(job, first):
            first.run_at, first.published_at = job.run_at, job.published_at
    return distinct


def _holders(wanted: Mapping[str | None, Job], using: str) -> list[Job]:
    """The waiting jobs that hold these keys, locked; moved to the time of the one wanted, if earlier."""
    rows = Job.objects.using(using).select_for_update()
    holders = list(rows.filter(unique_key__in=wanted, state=Job.State.WAITING, started_at__isnull=True))
    for holder in holders:
        job = wanted[holder.unique_key]
        if _is_earlier(job, holder):
            _bring_forward(holder, None if job.published_at is not None else job.run_at, using)
    return holders


def _is_earlier(job: Job, other: Job) -> bool:
    """Whether a job that is not written yet is to start before the other one of its key."""
    if job.published_at is not None:
        return other.published_at is None
    return (other.held_run_at or other.run_at) > job.run_at


def cancel(job: Job | int, reason: str = "cancelled", *, using: str | None = None) -> Job:
    """Take a waiting job off the road; JobTransitionRefused if it started or ended already."""
    row = job if isinstance(job, Job) else Job.objects.using(_alias(using)).get(pk=job)
    row.cancel(reason)
    return row


def _alias(using: str | None) -> str:
    """Where the jobs are written: what was read from a replica is written through another alias."""
    return written_through(_checked_alias(using)) if using else current_database() or router.db_for_write(Job)


def _checked_alias(using: str) -> str:
    if not isinstance(using, str) or using not in connections.settings:
        raise UnknownDatabase(f"using {shown(using)} is no database; DATABASES has: {', '.join(connections)}")
    return using


def _build(name: str, payload: dict[str, Any]) -> Job:
    registered = get_processor(name)
    check_payload(payload)
    registered.check_payload(payload)
    return Job.unsaved(
        processor=registered.name,
        queue=check_queue(registered.queue),
        payload=payload,
        timeout=registered.time_limit,
    )


class _Clock:
    """The database's clock, asked once when it is needed: it decides what is due, never a host's."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._now: datetime | None = None

    def now(self) -> datetime:
        if self._now is None:
            self._now = database_now(self._using)
        return self._now


def _moment(run_at: datetime | None, delay: timedelta | float | None, clock: _Clock) -> datetime | None:
    """When the job is due; None for now."""
    if run_at is None and delay is None:
        return None
    if run_at is not None and delay is not None:
        raise InvalidRunAt("pass run_at or delay, not both")
    moment = check_run_at(run_at) if delay is None else None
    if moment is not None:
        return moment if moment > clock.now() else None
    wait = check_delay(delay)
    if wait <= timedelta(0):
        return None
    try:
        moment = clock.now() + wait
    except OverflowError:
        raise _no_length(delay) from None
    if moment >= _LATEST:
        raise _no_length(delay)
    return moment


def check_run_at(run_at: object) -> datetime:
    """`run_at` in UTC if it is an aware datetime that databases and pages can carry, else InvalidRunAt."""
    if not isinstance(run_at, datetime):
        raise InvalidRunAt(f"run_at must be an aware datetime, not {type(run_at).__name__} {shown(run_at)}")
    if timezone.is_naive(run_at):
        raise InvalidRunAt(f"run_at {run_at.isoformat()} has no time zone; pass an aware datetime")
    try:
        moment = run_at.astimezone(UTC)
    except OverflowError:
        # At the ends of the calendar: a past time means now.
        moment = _LATEST if run_at.year > 1 else datetime.min.replace(tzinfo=UTC)
    if moment >= _LATEST:
        raise InvalidRunAt(
            f"run_at {run_at.isoformat()} is no usable time: it must lie before the year {_LATEST.year}"
        )
    return moment


def check_delay(delay: object) -> timedelta:
    """`delay` as a timedelta if it is one or a finite number of seconds, else InvalidRunAt."""
    if isinstance(delay, bool) or not isinstance(delay, timedelta | int | float):
        raise InvalidRunAt(
            f"delay must be a timedelta or a number of seconds, not {type(delay).__name__} {shown(delay)}"
        )
    try:
        return delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
    except (OverflowError, ValueError):
        raise _no_length(delay) from None


def check_standing_delay(delay: object) -> timedelta:
    """A `delay` that counts for many jobs, from now on: not negative, and of use today, else InvalidRunAt."""
    wait = check_delay(delay)
    if wait < timedelta(0):
        raise InvalidRunAt(f"delay {shown(delay)} is negative; allowed is 0, or more")
    try:
        ends = about_now() + wait
    except OverflowError:
        raise _no_length(delay) from None
    if ends >= _LATEST:
        raise _no_length(delay)
    return wait


def _no_length(delay: object) -> InvalidRunAt:
    return InvalidRunAt(
        f"delay {shown(delay)} is no usable length of time: it must be finite, "
        f"and end before the year {_LATEST.year}"
    )


def _check_subject(subject: str | models.Model | None) -> str:
    if subject is None:
        return ""
    if isinstance(subject, models.Model):
        return subject_of(subject)
    return _check_text("subject", subject)


def _check_text(name: str, value: str) -> str:
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise InvalidUniqueKey(
            f"{name} must be printable text of 1 to {_LONGEST_TEXT} characters, not {shown(value)}"
        )
    return value


def _insert_unique(job: Job, using: str) -> Job:
    # A holder is locked to the end of the transaction: it must not start before what the caller wrote is
    # visible to it. Whoever has no transaction gets one.
    with writing(using, savepoint=False):
        [job_of_key] = _insert_batch([job], using)
        publish_on_commit([job_of_key], using)
        return job_of_key


def _bring_forward(job: Job, moment: datetime | None, using: str) -> None:
    """Make a waiting job due at `moment`, or now."""
    transitions.reschedule(Job.objects.using(using).filter(pk=job.pk), moment)
    job.refresh_from_db(using=using)
