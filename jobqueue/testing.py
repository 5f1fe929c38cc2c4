"""Run jobs inside a test, without Redis: claimed, performed and settled by the code the worker uses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import copy_context
from datetime import datetime

from jobqueue.exceptions import CannotRun, InvalidPayload, JobIsHeld
from jobqueue.models import Job, JobQuerySet, transitions
from jobqueue.registry import get_processor, why_unfit
from jobqueue.sql.clock import database_now, pretend
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.log_lines import keeping
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.performing import perform
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller

__all__ = ["Outcome", "OutcomeStatus", "at", "drain", "run_job"]

_IDENTITY = Identity(uuid.UUID(int=0), "jobqueue.testing")
_MOST_JOBS = 10_000


def at(moment: datetime) -> AbstractContextManager[None]:
    """Inside the block the clock that decides what is due shows this moment, which lies ahead.

    `drain()` runs what is due by then, and processors that ask `jobqueue.jobs.database_now` see it.
    """
    return pretend(moment)


def run_job(job: Job, *, using: str = "default") -> Outcome:
    """Run one attempt of a waiting job now, due or not.

    What the processor logs is in `log` of the outcome, and kept with the job, as a worker keeps it.

    Raises CannotRun, which is an AssertionError, for a job that is held (JobIsHeld), does not wait or is not
    there; its text says what makes it run. A job that this process cannot run raises UnknownProcessor or
    InvalidPayload: a worker would leave it to one with other code, but here that is all the code there is.
    """
    rows = Job.objects.using(using).filter(pk=job.pk)
    _refuse_gone(job, rows)
    job.refresh_from_db(using=using)
    _refuse_unfit(job)
    _refuse_what_does_not_wait(job)
    transitions.reschedule(rows, None)
    job.refresh_from_db(using=using)
    claimed = transitions.claim(Job.objects.db_manager(using), [(job.pk, job.attempt)], _IDENTITY.id)
    if not claimed:
        raise CannotRun(f"job {job.pk} is {job.state} and due, but somebody else keeps its row locked")
    # What a job leaves in its context, such as a language, is no more of a test's than of the next job's.
    with keeping():
        outcome = copy_context().run(perform, Claim(claimed[0], using))
    settle_and_tell([outcome], _IDENTITY, Teller())
    if outcome.status == OutcomeStatus.RETRIED and outcome.delay is not None:
        # The database's own clock wrote the time; `at` may pretend another.
        transitions.reschedule(rows, database_now(using) + outcome.delay)
    job.refresh_from_db(using=using)
    return outcome


def _refuse_unfit(job: Job) -> None:
    if why := why_unfit(job.processor, job.payload):
        get_processor(job.processor)
        raise InvalidPayload(why)


def _refuse_gone(job: Job, rows: JobQuerySet) -> None:
    if job.pk is None:
        raise CannotRun("the job was never written: `enqueue` it, or save it, before it runs")
    if not rows.exists():
        kept = job._state.db
        where = f"; it is of {kept!r}: run_job(job, using={kept!r})" if kept not in (None, rows.db) else ""
        raise CannotRun(f"there is no job {job.pk} in the database {rows.db!r}{where or ', it was deleted'}")


_INSTEAD: Mapping[str, str] = {
    Job.State.ACTIVE: "something claimed it and has not ended; a job does not run itself",
    Job.State.COMPLETED: "it has run; enqueue another one",
    Job.State.FAILED: "job.retry() puts it back on the road",
    Job.State.CANCELLED: "job.retry() puts it back on the road",
}


def _refuse_what_does_not_wait(job: Job) -> None:
    if job.state != Job.State.WAITING:
        instead = _INSTEAD.get(job.state, "that is no state of a job")
        raise CannotRun(f"job {job.pk} is {job.state}, not waiting: {instead}")
    if job.held_run_at is not None:
        raise JobIsHeld(
            f"job {job.pk} is {job.reason or 'held'}, and no worker runs it until it is released: "
            "job.run_now() releases it; jobqueue.models.holding.release(job, using) lets it wait for its time"
        )


def drain(*, until: datetime | None = None, using: str = "default", retries: bool = True) -> list[Outcome]:
    """Run every due job, and those they lead to, in the order of their times.

    With `until`, also the delayed ones up to that moment. With `retries`, a job that is to run
    again after a failure does so at once; one that asked for another time waits for that time. Raises
    UnknownProcessor or InvalidPayload for a job that no worker with this code could run.
    """
    outcomes: list[Outcome] = []
    retried: set[int] = set()
    while len(outcomes) < _MOST_JOBS:
        rows = Job.objects.using(using).waiting().filter(held_run_at__isnull=True)
        due = rows.filter(run_at__lte=until or database_now(using))
        job = (rows.due() | due | rows.filter(pk__in=retried)).order_by("run_at", "pk").first()
        if job is None:
            return outcomes
        outcome = run_job(job, using=using)
        retried.discard(job.pk)
        if retries and outcome.failure and outcome.counts and outcome.status == OutcomeStatus.RETRIED:
            retried.add(job.pk)
        outcomes.append(outcome)
    raise AssertionError(f"{_MOST_JOBS} jobs ran and more are due: do jobs enqueue each other without end?")
