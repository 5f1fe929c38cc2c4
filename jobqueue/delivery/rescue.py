"""Brings back the jobs of workers that are gone.

A worker writes a heartbeat every HEARTBEAT_INTERVAL; the jobs of one that was silent for
WORKER_SILENCE (who judges that: `watch.py`) go back on the road. That uses up an attempt, so that a
job which kills its workers ends as failed. A worker that was only asleep finds its claims gone:
whatever it still does asks for its own worker id and attempt, and changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import connections, models
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from jobqueue import signals
from jobqueue.broker import registries
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery import failures
from jobqueue.delivery.apart import blame, readable
from jobqueue.delivery.charted import count_on_commit
from jobqueue.exceptions import JobInterrupted
from jobqueue.models import (
    Attempt,
    BulkAction,
    Job,
    JobQuerySet,
    Worker,
    jobs_in,
    stopping,
    title_of,
    transitions,
)
from jobqueue.models.bulk_verbs import Apply, BulkVerb, noted
from jobqueue.models.cause_names import cause_of_text
from jobqueue.registry import delay_after
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.databases import for_each_database
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

# Takes a step in each of these databases.
Each = Callable[[Callable[[str], object], Iterable[str]], object]

KEEP_SILENT_WORKERS = timedelta(days=1)

PAST_ITS_LIMIT = gettext_noop("ran past its time limit and could not be stopped")
"""Why a job is interrupted that only the end of its process ends."""
FAILED_BY_AN_OPERATOR = "failed by an operator"
"""The cause of what somebody failed."""
DID_NOT_YIELD = gettext_noop("was asked to stop and did not yield, so its process was ended")
"""Why one is that was to stop."""


def rescue_lost(using: str, gone: Collection[uuid.UUID] | None = None) -> int:
    """Put the active jobs of workers that are gone back on the road, or fail them. Returns how many.

    `gone`: the ids of these; without it, those that are silent by the database's clock.
    """
    workers = Worker.objects.using(using)
    if gone is None:
        silent = workers.filter(heartbeat_at__lt=Now() - timedelta(seconds=get_settings().worker_silence))
        gone = list(silent.values_list("pk", flat=True))
    alive = workers.exclude(pk__in=gone)
    lost = Job.objects.using(using).active().exclude(worker_id__in=alive.values("id"))
    rescued = 0
    rows = lost.select_related("worker").order_by("id")[: get_settings().relay_batch]
    for job in readable(rows, among=lost):
        rescued += interrupt(job, using, f"worker {_title(job)} is gone: no sign of life")
    _drop_old_workers(workers.filter(pk__in=gone))
    return rescued


def sweep(interval: float = 0.0, each: Each = for_each_database) -> int:
    """Clean RQ's started registries of what no row says is running. Returns how many entries went.

    They count against a queue's concurrency limit, so none may stay: of a worker that died, of a claim or a
    hand-back that Redis did not hear of. Of all workers only one looks in `interval` seconds. `each` takes a
    step in each of several databases: the entries of one that does not answer stay.
    """
    by_database, nobodys = _by_database(registries.started(get_settings().worker_silence, interval))
    went = [registries.forget_started(nobodys)]

    def forget_what_does_not_run(using: str) -> None:
        running = _running_entries(using, by_database[using].values())
        entries = [pair for pair in by_database[using] if pair[1] not in running]
        went.append(registries.forget_started(entries))

    if by_database:
        each(forget_what_does_not_run, by_database)
    return sum(went)


def _by_database(
    entries: Sequence[tuple[str, str]],
) -> tuple[dict[str, dict[tuple[str, str], int]], list[tuple[str, str]]]:
    """The job id that each `(queue, entry)` names, by database; and the entries that name no job of ours."""
    by_database: dict[str, dict[tuple[str, str], int]] = {}
    nobodys = []
    for queue, entry in entries:
        try:
            message = Message.parse(queue, entry.rpartition(":")[0])
        except ValueError:
            nobodys.append((queue, entry))
            continue
        if message.using in connections:
            by_database.setdefault(message.using, {})[queue, entry] = message.job_id
        else:
            nobodys.append((queue, entry))
    return by_database, nobodys


def _running_entries(using: str, job_ids: Collection[int]) -> set[str]:
    """The entries, `<message id>:<worker id>`, of those jobs that are active, by their attempt and worker."""
    rows = Job.objects.using(using).active().filter(pk__in=job_ids)
    return {
        f"{Message('', pk, attempt, using).id}:{worker_id and worker_id.hex}"
        for pk, attempt, worker_id in rows.values_list("pk", "attempt", "worker_id")
    }


def release(jobs: QuerySet[Job], reason: str = "put back by an operator") -> int:
    """Put active jobs back on the road without using up an attempt's budget. Returns how many.

    Whatever their worker still does with them counts for nothing.
    """
    released = 0
    for job in jobs.filter(state=Job.State.ACTIVE):
        released += transitions.run_again(
            jobs_in(jobs.db), job, job.worker_id, failures=job.failures, reason=reason
        ) or end_stopped(job, job.worker_id, jobs.db)
    return released


def end_stopped(job: Job, worker_id: uuid.UUID | None, using: str) -> int:
    """End the claim of a job whose stop was asked for, and count it as stopped. Returns how many: 1 or 0."""
    ended = stopping.end(job, worker_id, using)
    if ended:
        count_on_commit([job], "stopped", using)
    return ended


def fail(jobs: QuerySet[Job], reason: str = FAILED_BY_AN_OPERATOR) -> int:
    """End active jobs as failed, with a failed attempt that says who did it and why. Returns how many.

    Their cause is the same for all: what people say is in no name of a cause.
    """
    failed = 0
    counted: list[Job] = []
    for job in jobs.filter(state=Job.State.ACTIVE).select_related("worker"):
        with writing(jobs.db):
            changed = transitions.fail(
                jobs_in(jobs.db),
                job,
                job.worker_id,
                failures=job.failures + 1,
                reason=reason,
                cause=FAILED_BY_AN_OPERATOR,
            )
            if changed:
                _record_attempt(job, jobs.db, reason)
        if not changed:
            failed += end_stopped(job, job.worker_id, jobs.db)
        if changed:
            counted.append(job)
            error = JobInterrupted(reason)
            failures.log_end(job, reason, error)
            signals.send(signals.job_failed, Job, job=job, outcome=None, exception=error)
        failed += changed
    count_on_commit(counted, "failed", jobs.db)
    return failed


def _in_bulk(verb: Callable[[JobQuerySet, str], int], done: str) -> Apply:
    def act(jobs: JobQuerySet, action: BulkAction) -> int:
        reason = stopping.reason_of(action.asked_by, action.reason, done)
        return noted(lambda some: verb(some, reason), ~models.Q(state=Job.State.ACTIVE))(jobs, action)

    return act


IN_BULK: Mapping[str, Apply] = {
    BulkVerb.RELEASE: _in_bulk(release, "put back"),
    BulkVerb.FAIL: _in_bulk(fail, "failed"),
}
"""The same to a batch of a bulk action, with who asked for it and why."""


def interrupt(job: Job, using: str, reason: str) -> int:
    """Take an active job from its worker, using up an attempt. Returns 0 if it was not active any more.

    One that cannot be put back on the road is set aside, so that others are.
    """
    delay = delay_after(job.processor, job.failures + 1, JobInterrupted(reason))
    try:
        changed = _interrupt(job, using, reason, delay)
    except Exception as error:
        row = jobs_in(using).active().filter(models.Q(worker_id=job.worker_id), pk=job.pk)
        if not blame(row, error, lambda healthy: _interrupt(_active(healthy, using), using, reason, delay)):
            raise
        return 1
    if changed:
        _tell(job, reason, delay)
        count_on_commit([job], "failed" if delay is None else "retried", using)
        return changed
    return _end_stopped(job, using, reason)


def _end_stopped(job: Job, using: str, reason: str) -> int:
    """What was to stop is not put back on the road; nor did it end for its limit, if its process had to."""
    if reason == PAST_ITS_LIMIT:
        reason = DID_NOT_YIELD
    with writing(using):
        ended = end_stopped(job, job.worker_id, using)
        if ended:
            _record_attempt(job, using, reason)
    if ended:
        failures.log_stop(job, reason)
    return ended


def _active(job: Job, using: str) -> Job:
    """The job as a worker that nobody knows would have claimed it."""
    [claimed] = transitions.claim(jobs_in(using), [(job.pk, job.attempt)], uuid.uuid4())
    return claimed


def _interrupt(job: Job, using: str, reason: str, delay: timedelta | None) -> int:
    failed = job.failures + 1
    with writing(using):
        if delay is None:
            text = f"JobInterrupted: {reason}"
            changed = transitions.fail(
                jobs_in(using),
                job,
                job.worker_id,
                failures=failed,
                reason=text,
                cause=cause_of_text(text.replace(_title(job) or "…", "…")),
            )
        else:
            changed = transitions.run_again(
                jobs_in(using),
                job,
                job.worker_id,
                failures=failed,
                reason=f"rescued: {reason}",
                delay=delay,
            )
        if changed:
            _record_attempt(job, using, reason, is_retried=delay is not None)
    return changed


def _tell(job: Job, reason: str, delay: timedelta | None) -> None:
    text, error = f"rescued from a worker: {reason}", JobInterrupted(reason)
    if delay is None:
        failures.log_end(job, text, error)
    else:
        failures.log_retry(job, text, delay)
    signals.send(signals.job_rescued, Job, job_ids=[job.pk], worker_name=_name(job))
    if delay is None:
        signals.send(signals.job_failed, Job, job=job, outcome=None, exception=error)


def _record_attempt(job: Job, using: str, message: str, *, is_retried: bool = False) -> None:
    Attempt.objects.using(using).record(
        job,
        error_class=JobInterrupted.__name__,
        message=message,
        worker_name=_name(job),
        is_retried=is_retried,
    )


def _name(job: Job) -> str:
    worker = _worker(job)
    return worker.name if worker else str(job.worker_id or "")


def _title(job: Job) -> str:
    return title_of(_name(job))


def _worker(job: Job) -> Worker | None:
    # The row of a worker may be gone, or hold anything, and no constraint keeps it.
    try:
        return job.worker
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
    return None


def _drop_old_workers(gone: QuerySet[Worker]) -> None:
    """Delete rows of workers that nobody looks at any more."""
    old = gone.filter(heartbeat_at__lt=Now() - KEEP_SILENT_WORKERS)
    old.exclude(pk__in=Job.objects.using(gone.db).active().values("worker_id")).delete()
