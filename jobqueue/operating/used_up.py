"""Which limits are used up at this moment: what else a job that could start would wait for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Count

from jobqueue.broker import limits
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, ProcessorLimits, Queue


def used_up_rate(queue: Queue) -> int | None:
    """The queue's rate limit, if so many jobs have started just now; unknown while Redis is away."""
    if queue.rate_limit is None or queue.pk not in django_settings.RQ_QUEUES:
        return None
    try:
        return queue.rate_limit if limits.is_rate_used_up(queue.pk, queue.rate_limit) else None
    except BrokerUnavailable:
        return None


def used_up_concurrency(queue: Queue, using: str) -> int | None:
    """The queue's concurrency limit, if so many jobs run."""
    if queue.concurrency_limit is None:
        return None
    running = Job.objects.using(using).active().filter(queue=queue.pk).count()
    return queue.concurrency_limit if running >= queue.concurrency_limit else None


def used_up_of_processors(names: set[str], using: str) -> dict[str, dict[str, Any]]:
    """By processor the facts about those of its limits that are used up now; unknown while Redis is away."""
    found: dict[str, dict[str, Any]] = {}
    decisions = list(ProcessorLimits.objects.filter(pk__in=names))
    running = _running([decided.pk for decided in decisions if decided.concurrency_limit is not None], using)
    for decided in decisions:
        facts = found[decided.pk] = {}
        now_running, most = running.get(decided.pk, 0), decided.concurrency_limit
        if most is not None and now_running >= most:
            facts["processor_running"] = (now_running, most)
        if decided.rate_limit is not None:
            limit = limits.RateLimit(decided.rate_limit, processor=decided.pk)
            with suppress(BrokerUnavailable):
                facts["processor_rate"] = decided.rate_limit if limit.is_used_up() else None
    return found


def _running(processors: list[str], using: str) -> dict[str, int]:
    if not processors:
        return {}
    rows = Job.objects.using(using).active().filter(processor__in=processors).order_by()
    return dict(rows.values_list("processor").annotate(number=Count("pk")))
