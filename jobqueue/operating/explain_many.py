"""Why many jobs wait: the facts of a whole page, read at once, for the sentence of each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Count

from jobqueue.conf import get_settings
from jobqueue.models import Attempt, Job, Queue
from jobqueue.operating.explain import Facts, retries_of
from jobqueue.operating.used_up import used_up_of_processors, used_up_rate
from jobqueue.operating.workers import Crew, crews_of_queues


def facts_of_waiting(jobs: Iterable[Job], now: datetime, using: str) -> dict[int, Facts]:
    """What each of these waiting jobs may wait for, by id; as many questions for one as for fifty."""
    waiting = [job for job in jobs if job.state == Job.State.WAITING]
    if not waiting:
        return {}
    by_queue = _facts_of_queues({job.queue for job in waiting}, now, using)
    errors = _last_errors([job for job in waiting if job.failures], using)
    used_up = used_up_of_processors({job.processor for job in waiting if job.run_at <= now}, using)
    return {
        job.pk: _of_job(
            job,
            by_queue[job.queue],
            errors.get(job.pk, ""),
            used_up.get(job.processor, {}) if job.run_at <= now else {},
        )
        for job in waiting
    }


def _of_job(job: Job, of_queue: Facts, last_error: str, of_processor: dict[str, Any]) -> Facts:
    retries = retries_of(job)
    return Facts(
        now=of_queue.now,
        is_paused=of_queue.is_paused,
        is_configured=of_queue.is_configured,
        is_registered=retries is not None,
        workers=of_queue.workers,
        quiet=of_queue.quiet,
        max_retries=get_settings().retry.max_retries if retries is None else retries,
        last_error=last_error,
        used_up_rate=of_queue.used_up_rate,
        used_up_concurrency=of_queue.used_up_concurrency,
        **of_processor,
    )


def _facts_of_queues(names: set[str], now: datetime, using: str) -> dict[str, Facts]:
    # Where the workers look.
    decided = {queue.pk: queue for queue in Queue.objects.filter(pk__in=names)}
    crews = crews_of_queues(using)
    limits = {name: queue.concurrency_limit for name, queue in decided.items()}
    running = _running([name for name, limit in limits.items() if limit is not None], using)
    facts = {}
    for name in names:
        queue, limit = decided.get(name, Queue(name)), limits.get(name)
        crew = crews.get(name, Crew())
        facts[name] = Facts(
            now=now,
            is_paused=queue.is_paused_at(now),
            is_configured=name in django_settings.RQ_QUEUES,
            workers=len(crew.claiming),
            quiet=len(crew.quiet),
            used_up_rate=used_up_rate(queue),
            used_up_concurrency=limit if limit is not None and running.get(name, 0) >= limit else None,
        )
    return facts


def _running(queues: list[str], using: str) -> dict[str, int]:
    if not queues:
        return {}
    rows = Job.objects.using(using).active().filter(queue__in=queues).order_by()
    return dict(rows.values_list("queue").annotate(number=Count("pk")))


def _last_errors(jobs: list[Job], using: str) -> dict[int, str]:
    """By job the class of the error that its run before ended with; few jobs of a list were tried before."""
    if not jobs:
        return {}
    before = {job.pk: job.attempt - 1 for job in jobs}
    failed = Attempt.objects.using(using).filter(job__in=list(before), number__in=set(before.values()))
    rows = failed.values_list("job_id", "number", "error_class")
    return {job: error for job, number, error in rows if number == before[job]}
