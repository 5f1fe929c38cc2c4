"""Every arrow of a job's life, one verb each; nothing else changes a job's state.

             insert,
         insert_or_lock
                |
                v        claim              complete
    .-----> [waiting] ------------> [active] ------------> [completed]
    |        |     ^                 |    |
    |        |     '-----------------'    |     fail
    |        |       run_again            '--------------> [failed]
    | cancel |       hand_back                                |
    |        v       hand_on                                  |
    |   [cancelled]                                           |
    |        |                      retry                     |
    '--------'------------------------------------------------'

    [waiting] -> [waiting]: run_now and reschedule say when it is due, `models.holding` that it is not; move
    where; mark_published and mark_unpublished who is to publish it.

    [waiting], [active] -> [failed]: set_aside, of a row that cannot be worked on; retry puts it back.

    [active] -> [active]: ask_to_stop, by people; from then on fail, run_again, hand_back and hand_on change
    nothing, and the claim ends with complete, or [active] -> [cancelled]: end_stopped.

`attempt` is one more after run_again and retry, and stays after all others. What is over stays until somebody
deletes it: `jobqueue_prune`, or people in the admin.

What is active belongs to the worker that claimed it: each verb that ends a claim asks for the same job,
attempt and worker (`_held`; in SQL `statements.HELD`), so whoever lost a claim changes nothing. Every verb
returns what it changed. Rows are those of one database: `Job.objects.using(alias)`, or `jobs_in(alias)`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import connections, models
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.cause_names import cause_of_setting_aside, cause_of_text
from jobqueue.sql import rows
from jobqueue.sql.fast_path import run
from jobqueue.sql.statements import (
    claim_statement,
    complete_statement,
    insert_or_lock_statement,
    insert_statement,
)

if TYPE_CHECKING:
    from jobqueue.models.job import Job
    from jobqueue.models.querysets import JobManager

    Jobs: TypeAlias = "models.QuerySet[Job] | JobManager"

LONGEST_REASON = 500
HANDED_BACK = "handed back: "
"""How the reason of a job begins that its worker gave back."""
# A message's id has room for nine digits of it; only somebody's own SQL makes it larger.
_MOST_ATTEMPTS = 999_999_999


class State(models.TextChoices):
    """Where a job is on its way."""

    WAITING = "waiting", _("waiting")
    ACTIVE = "active", _("active")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


# Written -------------------------------------------------------------------------------------------


def insert(jobs: JobManager, new: Sequence[Job]) -> None:
    """Write new jobs with one statement. They get their ids, and the times that the database gave them.

    Due are those whose `published_at` is set. Raises IntegrityError if a unique key is held; then none
    was written.
    """
    if new:
        connection = connections[jobs.db]
        _note_inserted(new, run(connection, insert_statement(connection, new)), jobs.db)


def insert_or_lock(jobs: JobManager, new: Sequence[Job]) -> list[Job]:
    """Write those of the new jobs whose unique key is free, with one statement, and return them.

    The waiting jobs that hold the other keys are locked until the transaction ends, and stay as they are.
    A key that another transaction is about to write or to set free is waited for. No key stands twice in
    `new`.
    """
    connection = connections[jobs.db]
    found = run(connection, insert_or_lock_statement(connection, new))
    free = {unique_key for _pk, _created_at, unique_key in found}
    written = [job for job in new if job.unique_key is None or job.unique_key in free]
    _note_inserted(written, found, jobs.db)
    return written


def _note_inserted(jobs: Sequence[Job], found: Sequence[tuple[Any, ...]], using: str) -> None:
    """Give the jobs what their INSERT returned: an id, and the time of the database."""
    if not found:
        return
    created_at = rows.as_moment(found[0][1])
    # Numbers are given in the order of the jobs, whatever the order of the answer.
    for job, (pk, *_others) in zip(jobs, sorted(found), strict=True):
        values = job.__dict__
        values["id"], values["created_at"] = pk, created_at
        if values["published_at"] is not None:
            values["published_at"] = values["run_at"] = created_at
        job._state.adding, job._state.db = False, using


# Started -------------------------------------------------------------------------------------------


def claim(
    jobs: JobManager,
    messages: Sequence[tuple[int, int]],
    worker_id: uuid.UUID,
    unreadable: list[tuple[int, Exception]] | None = None,
) -> list[Job]:
    """waiting -> active: the due ones of these `(job id, attempt)` belong to this worker, in their order.

    What does not come back is stale: it ran already, was cancelled, is not due, or is locked by
    somebody who is changing it and will publish it again. The jobs hold the columns that a run
    needs; others are loaded when they are asked for. Rows that became active and cannot be read are left
    out, and their ids and errors added to `unreadable`; without it the first such error is raised.
    """
    if not messages:
        return []
    connection = connections[jobs.db]
    found = run(connection, claim_statement(connection, messages, worker_id))
    position = {job_id: index for index, (job_id, _attempt) in enumerate(messages)}
    found.sort(key=lambda row: position[row[0]])
    known = {"state": State.ACTIVE, "worker_id": worker_id}
    try:
        return [rows.claimed(jobs.model, row, jobs.db, known) for row in found]
    except Exception:
        if unreadable is None:
            raise
    return _readable(jobs, found, known, unreadable)


def _readable(
    jobs: JobManager,
    found: Sequence[tuple[Any, ...]],
    known: dict[str, Any],
    unreadable: list[tuple[int, Exception]],
) -> list[Job]:
    claimed = []
    for row in found:
        try:
            claimed.append(rows.claimed(jobs.model, row, jobs.db, known))
        except Exception as error:
            unreadable.append((row[0], error))
    return claimed


# Ended: only by the worker that claimed it, or in its place ----------------------------------------


def _held(jobs: Jobs, job: Job, worker_id: uuid.UUID | None) -> models.QuerySet[Job]:
    """The guard: this job, if it is still active in this attempt by this worker."""
    return _all_held(jobs, [job.pk], job.attempt, worker_id)


def _all_held(
    jobs: Jobs, ids: Sequence[int], attempt: int, worker_id: uuid.UUID | None
) -> models.QuerySet[Job]:
    return jobs.filter(models.Q(worker_id=worker_id), pk__in=ids, attempt=attempt, state=State.ACTIVE)


def complete(jobs: JobManager, done: Sequence[tuple[int, int, str]], worker_id: uuid.UUID) -> set[int]:
    """active -> completed: `(job id, attempt, reason)` each, in one statement; the ids of those that it was.

    The guard is in the statement: a claim that was taken away meanwhile is left alone.
    """
    if not done:
        return set()
    connection = connections[jobs.db]
    return {row[0] for row in run(connection, complete_statement(connection, done, worker_id))}


# What is to stop does not run again, and did not fail, whoever ends its claim: `end_stopped` does.
_TO_STOP = models.Q(stop_asked_at__isnull=False)


def end_stopped(jobs: Jobs, job: Job, worker_id: uuid.UUID | None) -> int:
    """active -> cancelled: somebody asked for its stop, and its run has ended without completing."""
    return (
        _held(jobs, job, worker_id)
        .filter(_TO_STOP)
        .update(state=State.CANCELLED, finished_at=Now(), reason=models.F("stop_reason"))
    )


def fail(
    jobs: Jobs, job: Job, worker_id: uuid.UUID | None, *, failures: int, reason: str, cause: str = ""
) -> int:
    """active -> failed: it needs somebody's attention. Without a `cause` the reason tells which it is."""
    return (
        _held(jobs, job, worker_id)
        .exclude(_TO_STOP)
        .update(
            state=State.FAILED,
            failures=failures,
            finished_at=Now(),
            reason=reason[:LONGEST_REASON],
            cause=cause or cause_of_text(reason),
        )
    )


def run_again(
    jobs: Jobs,
    job: Job,
    worker_id: uuid.UUID | None,
    *,
    failures: int,
    reason: str,
    delay: timedelta = timedelta(0),
) -> int:
    """active -> waiting, in its next attempt, due after `delay`."""
    return (
        _held(jobs, job, worker_id)
        .exclude(_TO_STOP)
        .update(
            state=State.WAITING,
            failures=failures,
            attempt=job.attempt + 1 if job.attempt < _MOST_ATTEMPTS else 1,
            run_at=Now() + delay if delay else Now(),
            published_at=None,
            worker=None,
            unfit_since=None,
            reason=reason[:LONGEST_REASON],
        )
    )


def hand_back(jobs: Jobs, job: Job, worker_id: uuid.UUID | None, *, reason: str) -> int:
    """active -> waiting, in the same attempt: it was not the job's fault, and uses nothing up."""
    return (
        _held(jobs, job, worker_id)
        .exclude(_TO_STOP)
        .update(
            state=State.WAITING,
            worker=None,
            published_at=None,
            run_at=Now(),
            unfit_since=None,
            reason=reason[:LONGEST_REASON],
        )
    )


def hand_on(
    jobs: Jobs,
    claimed: Sequence[Job],
    worker_id: uuid.UUID | None,
    *,
    reason: str,
    delay: timedelta,
    age: timedelta | None = None,
) -> int:
    """active -> waiting, in the same attempt, due after `delay`: this worker cannot run them, others may.

    Since when that is so stays noted until one that can has taken the job; it is `age` ago, if that is given.
    """
    since = Coalesce("unfit_since", Now()) if age is None else Now() - age
    by_attempt: dict[int, list[int]] = {}
    for job in claimed:
        by_attempt.setdefault(job.attempt, []).append(job.pk)
    return sum(
        _all_held(jobs, ids, attempt, worker_id)
        .exclude(_TO_STOP)
        .update(
            state=State.WAITING,
            worker=None,
            published_at=None,
            run_at=Now() + delay,
            unfit_since=since,
            reason=reason[:LONGEST_REASON],
        )
        for attempt, ids in by_attempt.items()
    )


def set_aside(jobs: Jobs, why: str) -> int:
    """waiting or active -> failed: it cannot be worked on, and keeps others from nothing. It says why.

    Nothing else of the row is touched or looked at. Active ones of living workers are none of the caller's:
    `JobQuerySet.free_or_held_by` leaves them out.
    """
    return jobs.filter(state__in=CAN_BE_SET_ASIDE).update(
        state=State.FAILED,
        set_aside=why[:LONGEST_REASON],
        reason=f"set aside: {why}"[:LONGEST_REASON],
        cause=cause_of_setting_aside(why),
        finished_at=Now(),
    )


# Asked for by people -------------------------------------------------------------------------------

CAN_BE_CANCELLED = CAN_BE_RUN_NOW = (State.WAITING,)
CAN_BE_RETRIED = (State.FAILED, State.CANCELLED)
CAN_BE_SET_ASIDE = (State.WAITING, State.ACTIVE)
CAN_BE_STOPPED = (State.ACTIVE,)
_WAS_SET_ASIDE = ~models.Q(set_aside="")


def cancel(jobs: Jobs, reason: str) -> int:
    """waiting -> cancelled: off the road for good. Listeners are told by who calls this."""
    return jobs.filter(state__in=CAN_BE_CANCELLED).update(
        state=State.CANCELLED, finished_at=Now(), reason=reason[:LONGEST_REASON]
    )


def ask_to_stop(jobs: Jobs, reason: str) -> int:
    """active -> active, and no further run: the executor that runs it ends it as soon as it can.

    The first who asks is the one; see `jobqueue.models.stopping` for when that can be asked for.
    """
    return (
        jobs.filter(state__in=CAN_BE_STOPPED)
        .exclude(_TO_STOP)
        .update(stop_asked_at=Now(), stop_reason=reason[:LONGEST_REASON])
    )


def retry(jobs: Jobs, bulk_action: int | None = None) -> int:
    """failed or cancelled -> waiting, due now, in its next attempt, with a full budget of retries.

    The row keeps the number of the `bulk_action` that did it last.

    What was set aside is put back by it: of such a row nothing is taken on that may be what was wrong.
    """
    next_attempt = models.When(attempt__gte=0, attempt__lt=_MOST_ATTEMPTS, then=models.F("attempt") + 1)
    return jobs.filter(state__in=CAN_BE_RETRIED).update(
        state=State.WAITING,
        attempt=models.Case(next_attempt, default=1),
        failures=0,
        run_at=Now(),
        published_at=None,
        finished_at=None,
        worker=None,
        unfit_since=None,
        reason="",
        cause="",
        set_aside="",
        held_run_at=None,
        stop_asked_at=None,
        stop_reason="",
        # What never started would claim its unique key again, which another job may hold by now.
        started_at=models.Case(
            models.When(_WAS_SET_ASIDE, then=Now()), default=Coalesce("started_at", Now())
        ),
        **({} if bulk_action is None else {"bulk_action": bulk_action}),
    )


def run_now(jobs: Jobs) -> int:
    """waiting -> waiting, due now: the relay publishes it."""
    return jobs.filter(state__in=CAN_BE_RUN_NOW).update(run_at=Now(), held_run_at=None, published_at=None)


def move(jobs: Jobs, queue: str) -> int:
    """waiting -> waiting, in another queue: the relay publishes it there at its time."""
    return jobs.filter(state=State.WAITING).update(queue=queue, published_at=None)


# Still waiting: when, and who publishes it ---------------------------------------------------------


def reschedule(jobs: Jobs, moment: datetime | None) -> int:
    """waiting -> waiting, of one job: due at `moment`, or now: then who changes it publishes it.

    What is held keeps that time for its release. Without a CASE, which takes 0.6 ms to build.
    """
    when, waiting = moment or Now(), jobs.filter(state=State.WAITING)
    values, free = {"run_at": when, "published_at": None if moment else Now()}, {"held_run_at": None}
    return waiting.filter(**free).update(**values) or waiting.exclude(**free).update(held_run_at=when)


def mark_published(jobs: Jobs) -> int:
    """waiting -> waiting: a message of it is in Redis, or is pushed now."""
    return jobs.filter(state=State.WAITING).update(published_at=Now())


def mark_unpublished(jobs: Jobs) -> int:
    """waiting -> waiting: the relay is to publish it."""
    return jobs.filter(state=State.WAITING).update(published_at=None)
