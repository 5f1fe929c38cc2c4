"""A job that an operator makes from another one, with another payload if that is asked for.

It is written as `enqueue` writes a job: the same checks, the same errors, published after the commit. It has
the processor, the queue, the subject and the unique key of its original, and its number: `copied_from`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _

from jobqueue.delivery.outbox import publish_on_commit
from jobqueue.exceptions import JobCopyRefused, MaskedPayload, PastRunAt, UniqueKeyHeld
from jobqueue.jobs import NewJob, build
from jobqueue.masking import HIDDEN, has_masks
from jobqueue.models import Job, JobQuerySet, alias_of, guards, jobs_in, transitions
from jobqueue.registry import check_queue
from jobqueue.sql.writing import writing


def copy_job(
    job: Job,
    payload: dict[str, Any] | None = None,
    *,
    run_at: datetime | None = None,
    copies_seen: int | None = None,
) -> Job:
    """Enqueue a job of the same processor, queue, subject and unique key as this one, in any state of it.

    `payload` takes the place of its own; `run_at` is an aware datetime ahead, without it it runs at once.
    With `copies_seen`, how many copies of the job the caller knew of, a second click makes no second copy.

    Raises what `enqueue` raises of the processor, the queue, the payload and the time; PastRunAt for a time
    that is past; MaskedPayload if a value is what pages show in place of a hidden one; UniqueKeyHeld if a job
    that waits has the unique key; JobCopyRefused if there are more copies by now than were seen;
    JobMoveRefused if the job's own time lies ahead and the app that owns it does not let it run at that of
    the copy. Then nothing is written.
    """
    using = alias_of(job)
    given = job.payload if payload is None else payload
    copy = build(NewJob(job.processor, given, run_at), using)
    copy.queue, copy.subject, copy.unique_key = check_queue(job.queue), job.subject, job.unique_key
    if has_masks(given, job.payload):
        raise MaskedPayload(
            f"the payload has {HIDDEN}, which stands on pages for what is hidden; write what is meant"
        )
    with writing(using):
        if copies_seen is not None:
            _refuse_second(job, copies_seen, using)
        _refuse_past(run_at, using)
        guards.ask(job, using, run_at)
        _insert(copy, job, using)
    return copy


def copies_of(job: Job) -> JobQuerySet:
    """The jobs that were made from this one, the oldest first."""
    return Job.objects.using(alias_of(job)).filter(copied_from=job.pk).order_by("pk")


def _insert(copy: Job, job: Job, using: str) -> None:
    jobs = jobs_in(using)
    if not transitions.insert_or_lock(jobs, [copy]):
        held = jobs.filter(unique_key=copy.unique_key, state=Job.State.WAITING, started_at__isnull=True)
        holder = held.values_list("pk", flat=True).first()
        raise UniqueKeyHeld(
            f"job {holder} waits and has the unique key {copy.unique_key!r}, which the copy would have; "
            "cancel that one first, or copy when it has started"
        )
    jobs.filter(pk=copy.pk).update(copied_from=job.pk)
    copy.copied_from = job.pk
    publish_on_commit([copy], using)


def _refuse_past(run_at: datetime | None, using: str) -> None:
    """Raise PastRunAt for a time at which the copy would run at once: a wrong year sends a letter."""
    if run_at is not None and not guards.is_ahead(run_at, using):
        text = _("run_at %(moment)s is past: a copy runs at a time ahead, or at once if no time is given")
        raise PastRunAt(text % {"moment": run_at.isoformat()})


def _refuse_second(job: Job, copies_seen: int, using: str) -> None:
    """Raise JobCopyRefused if somebody made a copy meanwhile; who comes after this one waits for its end."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        # Not the job's row: a claim passes over what is locked.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"jobqueue:copy:{job.pk}"])
    made = list(copies_of(job).values_list("pk", flat=True))
    if len(made) > copies_seen:
        text = _(
            "job %(number)s was copied meanwhile, as job %(copy)s; look at that one, and ask again "
            "if there is to be another copy"
        )
        raise JobCopyRefused(text % {"number": job.pk, "copy": made[-1]})
