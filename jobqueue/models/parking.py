"""Jobs that are parked: the limits of their processor decide when they start, without a message.

Who takes the message of a job whose processor has limits parks the job, and goes on to the next one.
Executors start what is parked from its rows, as far as the limits leave room: a Redis that was emptied and a
process that died make no difference to it.

A parked job is a waiting one whose `published_at` lies ahead. Every verb that changes when or where it is to
run leaves it to the relay, as any job: `published_at` is empty then. Where nobody starts it by that time,
because only workers of a release before are left, it is published as one that Redis lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connections
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from jobqueue.models.job import Job
from jobqueue.models.processor import ProcessorLimits
from jobqueue.models.querysets import JobManager, JobQuerySet
from jobqueue.models.transitions import State
from jobqueue.sql.writing import writing

PARKED_FOR = timedelta(days=1)
Key = tuple[int, int]
"""The id and the attempt of a job."""


def parked(jobs: JobManager, processors: Collection[str]) -> JobQuerySet:
    """The parked jobs of these processors, the first one first."""
    rows = jobs.waiting().filter(published_at__gt=Now(), processor__in=processors)
    return rows.order_by("published_at", "pk")


def free_of_others(rows: JobQuerySet) -> JobQuerySet:
    """Those of the rows that nobody is changing, locked until the transaction ends.

    So what a verb has held, moved or cancelled by then is not written over. SQLite has one writer anyway.
    """
    if connections[rows.db].features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


def limited_processors() -> set[str]:
    """The processors with limits, which park their jobs."""
    has_limits = Q(rate_limit__isnull=False) | Q(concurrency_limit__isnull=False)
    return set(ProcessorLimits.objects.filter(has_limits).values_list("pk", flat=True))


class Parking(NamedTuple):
    """What became of messages whose jobs are of processors with limits; none of them is to be claimed."""

    parked: set[Key]
    locked: set[Key]
    """Due, but somebody is changing them: to be asked for again."""
    stale: set[Key]
    """Not due, or not waiting: nobody asks for them again."""

    @property
    def all(self) -> set[Key]:
        """All that are of these processors."""
        return self.parked | self.locked | self.stale


def park(jobs: JobManager, messages: Sequence[Key], processors: Collection[str]) -> Parking:
    """waiting -> waiting: park those of these `(job id, attempt)` that are due and of these processors.

    They stand in the order in which they were due, whoever is the first to park. What is left out because
    somebody has it locked must not be claimed either: a moment later it is free, and no limit had counted it.
    """
    due = Q(run_at__lte=Now()) | Q(run_at__lte=F("published_at"))
    with writing(jobs.db):
        limited = jobs.filter(pk__in=[pk for pk, _ in messages], processor__in=processors)
        ids = set(limited.values_list("pk", flat=True))
        ours = {key for key in messages if key[0] in ids}
        if not ours:
            return Parking(set(), set(), set())
        rows = limited.waiting().filter(due)
        ready = ours.intersection(rows.values_list("pk", "attempt"))
        found = ready.intersection(free_of_others(rows).values_list("pk", "attempt"))
        if found:
            until = Greatest(F("run_at") + PARKED_FOR, Now() + PARKED_FOR / 2)
            jobs.filter(pk__in=[pk for pk, _ in found]).update(published_at=until)
    return Parking(found, ready - found, ours - ready)


def release(jobs: JobManager, processor: str, most: int) -> int:
    """waiting -> waiting: leave so many parked jobs of it to the relay, the first ones; how many it were."""
    rows = parked(jobs, [processor])
    if not rows.exists():
        return 0  # nobody waits for a lock while there is nothing to write
    with writing(jobs.db):
        ids = list(free_of_others(rows).values_list("pk", flat=True)[:most])
        return jobs.filter(pk__in=ids).update(published_at=None) if ids else 0


def is_parked(job: Job, now: datetime) -> bool:
    """Whether this job is parked at that moment."""
    return job.state == State.WAITING and job.published_at is not None and job.published_at > now
