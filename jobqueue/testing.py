"""Run jobs inside a test, without Redis: claimed, performed and settled by the code the worker uses."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db.models.functions import Now

from jobqueue.execution import Claim, Claimant, Outcome, OutcomeStatus, perform, settle
from jobqueue.models import Job

_CLAIMANT = Claimant(uuid.UUID(int=0), "jobqueue.testing")
_MOST_JOBS = 10_000


def run_job(job: Job, *, using: str = "default") -> Outcome:
    """Run one attempt of a waiting job now, due or not. AssertionError if it is not waiting."""
    Job.objects.using(using).waiting().filter(pk=job.pk).update(run_at=Now())
    job.refresh_from_db(using=using)
    claimed = Job.objects.db_manager(using).claim([(job.pk, job.attempt)], _CLAIMANT.id)
    assert claimed, f"job {job.pk} is {job.state}, not waiting"
    outcome = perform(Claim(claimed[0], using))
    settle([outcome], _CLAIMANT)
    job.refresh_from_db(using=using)
    return outcome


def drain(*, until: datetime | None = None, using: str = "default", retries: bool = True) -> list[Outcome]:
    """Run every due job, and those they lead to, in the order of their times.

    With `until`, also the delayed ones up to that moment. With `retries`, a job that is to run
    again after a failure does so at once; one that asked for another time waits for that time.
    """
    outcomes: list[Outcome] = []
    retried: set[int] = set()
    while len(outcomes) < _MOST_JOBS:
        rows = Job.objects.using(using).waiting()
        ready = rows.due() | rows.filter(pk__in=retried)
        if until is not None:
            ready = ready | rows.filter(run_at__lte=until)
        job = ready.order_by("run_at", "pk").first()
        if job is None:
            return outcomes
        outcome = run_job(job, using=using)
        retried.discard(job.pk)
        if retries and outcome.failure and outcome.status == OutcomeStatus.RETRIED:
            retried.add(job.pk)
        outcomes.append(outcome)
    raise AssertionError(f"{_MOST_JOBS} jobs ran and more are due: do jobs enqueue each other without end?")
