"""Why a job is not running, in words: the question operators ask most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings as django_settings

from jobqueue.broker import limits
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable, UnknownProcessor
from jobqueue.models import (
    OUTAGE_PREFIX,
    SKIPPED_PREFIX,
    UNKNOWN_PREFIX,
    Attempt,
    Job,
    Queue,
    Worker,
    alias_of,
)
from jobqueue.models.holding import due_time
from jobqueue.operating.words import absolute, exact_span, relative, span
from jobqueue.operating.workers import serving_workers
from jobqueue.registry import get_processor
from jobqueue.sql.clock import database_now
from jobqueue.sql.tolerant import unreadable


@dataclass(frozen=True, slots=True)
class Facts:
    """What the explanation of one job needs to know of the world around it."""

    now: datetime
    is_stuck: bool = False
    is_paused: bool = False
    is_configured: bool = True
    is_registered: bool = True
    workers: int = 1
    max_retries: int = 3
    last_error: str = ""
    used_up_rate: int | None = None
    """The queue's rate limit, if so many jobs have started just now."""
    used_up_concurrency: int | None = None
    """The queue's concurrency limit, if so many jobs run."""
    worker: Worker | None = None


def gather(
    job: Job, now: datetime | None = None, *, is_stuck: bool | None = None, last_error: str | None = None
) -> Facts:
    """The facts about a job of this moment, by the database's clock: what its state asks for, and no more.

    `now`, `is_stuck` and `last_error` are looked up where the caller does not know them.
    """
    using = alias_of(job)
    now = now or database_now(using)
    if job.state == Job.State.WAITING:
        return _of_waiting(job, now, _last_error(job, using) if last_error is None else last_error, using)
    if is_stuck is None and job.state == Job.State.ACTIVE:
        is_stuck = Job.objects.using(using).stuck().filter(pk=job.pk).exists()
    return Facts(
        now=now,
        is_stuck=bool(is_stuck),
        is_configured=job.queue in django_settings.RQ_QUEUES,
        is_registered=_processor_policy(job) is not None,
        worker=Worker.objects.using(using).filter(pk=job.worker_id).first() if job.worker_id else None,
    )


def _last_error(job: Job, using: str) -> str:
    failed = Attempt.objects.using(using).filter(job=job).order_by("-number")
    return failed.values_list("error_class", flat=True).first() or ""


def _of_waiting(job: Job, now: datetime, last_error: str, using: str) -> Facts:
    """What a job that waits may wait for."""
    processor = _processor_policy(job)
    # Where the workers look.
    decided = Queue.objects.filter(pk=job.queue).first() or Queue(job.queue)
    return Facts(
        now=now,
        is_paused=decided.is_paused_at(now),
        is_configured=job.queue in django_settings.RQ_QUEUES,
        is_registered=processor is not None,
        workers=len(serving_workers(using).get(job.queue, [])),
        max_retries=get_settings().retry.max_retries if processor is None else processor,
        last_error=last_error,
        used_up_rate=_used_up_rate(decided),
        used_up_concurrency=_used_up_concurrency(decided, using),
    )


def _used_up_rate(queue: Queue) -> int | None:
    if queue.rate_limit is None or queue.pk not in django_settings.RQ_QUEUES:
        return None
    try:
        return queue.rate_limit if limits.is_rate_used_up(queue.pk, queue.rate_limit) else None
    except BrokerUnavailable:
        return None


def _used_up_concurrency(queue: Queue, using: str) -> int | None:
    if queue.concurrency_limit is None:
        return None
    running = Job.objects.using(using).active().filter(queue=queue.pk).count()
    return queue.concurrency_limit if running >= queue.concurrency_limit else None


def _processor_policy(job: Job) -> int | None:
    try:
        return get_processor(job.processor).retry_policy.max_retries
    except UnknownProcessor:
        return None


def explain(job: Job, facts: Facts) -> str:
    """One or more sentences: what the job waits for, who runs it, or how it ended."""
    odd = unreadable(job)
    return " ".join([_explain(job, facts), *([f"In its row {odd}."] if odd else [])])


def _explain(job: Job, facts: Facts) -> str:
    if job.state == Job.State.WAITING:
        return " ".join([_waits_for(job, facts), *_obstacles(job, facts)])
    if job.state == Job.State.ACTIVE:
        return _runs(job, facts)
    return _ended(job, facts)


def _held(job: Job, facts: Facts) -> str:
    """Of a job that somebody holds: who, why, and what follows."""
    when = due_time(job)
    runs = "at once" if when <= facts.now else f"{relative(when, facts.now)}, {absolute(when)}"
    why = job.reason.removesuffix(".") or "held"
    return f"{why[:1].upper()}{why[1:]}. It does not go out until somebody releases it; then it runs {runs}."


def _waits_for(job: Job, facts: Facts) -> str:
    if job.held_run_at is not None:
        return _held(job, facts)
    if job.unfit_since is not None:
        return _unknown(job, facts)
    if job.run_at > facts.now:
        return _delayed(job, facts)
    if facts.is_paused or not facts.workers or not facts.is_configured or _limits(job, facts):
        return f"Due since {span(facts.now - job.run_at)}."
    if job.published_at is None:
        return f"Due since {span(facts.now - job.run_at)}: about to be published to queue {job.queue}."
    workers = "1 worker serves it" if facts.workers == 1 else f"{facts.workers} workers serve it"
    return f"Waiting for a free worker on queue {job.queue} for {span(facts.now - job.run_at)}: {workers}."


def _unknown(job: Job, facts: Facts) -> str:
    """Of a job that no worker could run so far."""
    assert job.unfit_since is not None
    since = facts.now - job.unfit_since
    left = timedelta(seconds=get_settings().unknown_processor_timeout) - since
    end = f"in {span(left)}" if left > timedelta(0) else "with the next try"
    why = job.reason.removeprefix(UNKNOWN_PREFIX).removesuffix(".")
    return (
        f"No worker knows it since {span(since)}: {why}. "
        f"A worker that can run it takes it at once; without one it fails {end}. "
        "Deploy the code that knows it, or cancel the job."
    )


def _delayed(job: Job, facts: Facts) -> str:
    when = relative(job.run_at, facts.now)
    if job.reason.startswith(OUTAGE_PREFIX):
        why = job.reason.removeprefix(OUTAGE_PREFIX).removesuffix(".")
        return f"Waits for the database, and runs again {when} without having used up an attempt: {why}."
    if job.attempt > 1 and job.failures and facts.last_error:
        return f"Retry {job.failures} of {facts.max_retries} {when} after {facts.last_error}."
    if job.attempt > 1 and job.reason:
        return f"Runs again {when}: {job.reason}."
    return f"Delayed until {absolute(job.run_at)}, {when}."


def _obstacles(job: Job, facts: Facts) -> list[str]:
    """What keeps the job from running even when its time has come."""
    found = []
    if not facts.is_configured:
        found.append(
            f"RQ_QUEUES has no queue {job.queue}, so no worker can serve it: add it again, or move the job."
        )
    elif facts.is_paused:
        found.append(f"The queue {job.queue} is paused: resume it to let the job run.")
    found += _limits(job, facts)
    if facts.is_configured and not facts.workers:
        found.append(
            f"Waiting for a worker on queue {job.queue}: no worker serves it. "
            f"Start one with: manage.py rqworker {job.queue}"
        )
    if not facts.is_registered and job.unfit_since is None:
        found.append(f"No processor {job.processor} is registered in this process.")
    return found


def _limits(job: Job, facts: Facts) -> list[str]:
    """What a limit does to a job that could start otherwise."""
    found: list[str] = []
    if job.run_at > facts.now or facts.is_paused:
        return found
    if facts.used_up_rate is not None:
        found.append(
            f"Held back by the queue's rate limit: no more than {facts.used_up_rate} jobs start in a second."
        )
    if facts.used_up_concurrency is not None:
        found.append(
            "Held back by the queue's concurrency limit: "
            f"no more than {facts.used_up_concurrency} jobs run at once."
        )
    return found


def _runs(job: Job, facts: Facts) -> str:
    worker = facts.worker.name if facts.worker else "unknown"
    running = facts.now - job.started_at if job.started_at else timedelta(0)
    if job.stop_asked_at is not None:
        return _stopping(job, facts)
    if not facts.is_stuck:
        return (
            f"Claimed by worker {worker}, running for {exact_span(running)} "
            f"(its limit is {job.timeout:.0f} s)."
        )
    if facts.worker is None:
        return f"Stuck: its worker is gone, and the job has been active for {span(running)}."
    silence = facts.now - facts.worker.heartbeat_at
    if silence > timedelta(seconds=get_settings().worker_silence):
        return f"Stuck: worker {worker} has given no sign of life for {span(silence)}."
    return f"Stuck: running on worker {worker} for {span(running)}, past its limit of {job.timeout:.0f} s."


def _stopping(job: Job, facts: Facts) -> str:
    """Of a running job whose stop was asked for: how long it takes, and what follows if it does not yield."""
    assert job.stop_asked_at is not None
    waits, grace = facts.now - job.stop_asked_at, get_settings().timeout_grace
    text = f"Stopping for {exact_span(waits)} ({job.stop_reason}): it ends as cancelled and is not retried."
    if waits <= timedelta(seconds=grace + 2):
        return f"{text} What it has done until then is done."
    return (
        f"{text} It does not yield: a call into C lets nothing else run in its process. It ends with its "
        "time limit at the latest; ending its process on its host ends it now, and what runs beside it then "
        "begins anew."
    )


def _ended(job: Job, facts: Facts) -> str:
    when = relative(job.finished_at, facts.now) if job.finished_at else "some time ago"
    reason = f": {job.reason}" if job.reason else ""
    if job.state == Job.State.FAILED and job.set_aside:
        return f"Set aside {when}: {job.set_aside}. It stays here until somebody puts it back, by a retry."
    if job.state == Job.State.FAILED:
        runs = "1 attempt" if job.failures == 1 else f"{job.failures} attempts"
        return f"Failed {when} after {runs}{reason}. It stays here until somebody retries or deletes it."
    if job.state == Job.State.CANCELLED and job.stop_asked_at is not None:
        return f"Cancelled {when} while it ran{reason}. It may have had its effect, or a part of it."
    if job.state == Job.State.CANCELLED:
        return f"Cancelled {when}{reason}."
    if job.is_skipped:
        return f"Skipped {when}: there was nothing to do, {job.reason.removeprefix(SKIPPED_PREFIX)}."
    took = (
        f" after {exact_span(job.finished_at - job.started_at)}" if job.finished_at and job.started_at else ""
    )
    late = (
        f" It completed before its stop arrived ({job.stop_reason})." if job.stop_asked_at is not None else ""
    )
    return f"Completed {when}{took} in attempt {job.attempt}.{late}"
