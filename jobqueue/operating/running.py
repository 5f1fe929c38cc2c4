"""What runs now, beyond what rows say: its thread, and how far it says it is. Workers tell Redis."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.utils.translation import gettext

from jobqueue.broker import running
from jobqueue.broker.running import Run
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.operating.words import grouped
from jobqueue.progress import Progress


def runs_of(jobs: Iterable[Job]) -> dict[int, Run]:
    """What the workers told of those of these jobs that run, by id; nothing while Redis is away.

    What was told of another attempt, or by a worker that lost the job, is left out.
    """
    active = [job for job in jobs if job.state == Job.State.ACTIVE and job.worker_id]
    workers = {job.pk: job.worker_id.hex for job in active if job.worker_id}
    try:
        told = running.told_by(sorted(set(workers.values())))
    except BrokerUnavailable:
        return {}
    known = {(worker, *run[:3]): run for worker, runs in told.items() for run in runs}
    keys = {job.pk: (workers[job.pk], str(job._state.db), job.pk, job.attempt) for job in active}
    return {pk: known[key] for pk, key in keys.items() if key in known}


def progress_words(progress: Progress) -> str:
    """How far it is: `120 of 500 (24 %)`, `24 %`, `120 done`; nothing where it said no number."""
    values = {
        "done": _number(progress.done),
        "total": _number(progress.total),
        # Not rounded up: what is not done is not 100 %.
        "percent": int((progress.share or 0) * 100),
    }
    if progress.total is not None:
        return gettext("%(done)s of %(total)s (%(percent)s %%)") % values
    if progress.share is not None:
        return gettext("%(percent)s %%") % values
    return gettext("%(done)s done") % values if progress.done is not None else ""


def _number(number: float | None) -> str:
    if number is None:
        return ""
    return grouped(int(number) if number == int(number) else Decimal(f"{number:.2f}"))
