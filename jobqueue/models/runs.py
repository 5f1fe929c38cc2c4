"""The newest jobs of a processor that have run, each with its last run: how it ended, and how long it took.

No index has them: one would be written with every outcome. They are looked for among the newest jobs, by
their numbers, until there are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, Subquery

from jobqueue.models.job import Job, jobs_in

NEWEST = 50_000
"""Numbers of jobs, from the highest down, among which the runs are looked for."""
_OVER = (Job.State.COMPLETED, Job.State.FAILED)


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of a job. `outcome` is a state, or "skipped"."""

    job_id: int
    outcome: str
    ended_at: datetime
    seconds: float
    attempt: int


def last_runs(processor: str, most: int, using: str) -> list[Run]:
    """The newest jobs of that processor whose run is over, at most so many, in the order of their ends.

    Newest are those of the highest numbers: a retry of an old job ends late, and is not among them.
    """
    jobs = jobs_in(using)
    newest = Subquery(jobs.order_by("-pk").values("pk")[:1])
    # What was cancelled before it ran did not run.
    ran = Q(state__in=_OVER) | Q(state=Job.State.CANCELLED, stop_asked_at__isnull=False)
    # Both ends: PostgreSQL takes a range for few rows, and one end for a third of the table.
    window = jobs.filter(pk__gt=newest - NEWEST, pk__lte=newest)
    found = window.filter(ran, processor=processor, started_at__lte=F("finished_at"))
    rows = found.order_by("-pk").only("state", "reason", "started_at", "finished_at", "attempt")[:most]
    return sorted(filter(None, map(_run_of, rows)), key=lambda run: (run.ended_at, run.job_id))


def _run_of(job: Job) -> Run | None:
    if not isinstance(job.started_at, datetime) or not isinstance(job.finished_at, datetime):
        return None  # nobody can read when it was
    outcome = "skipped" if job.is_skipped else str(job.state)
    return Run(
        job.pk, outcome, job.finished_at, (job.finished_at - job.started_at).total_seconds(), job.attempt
    )
