"""The limits of queues and processors: how many starts use them up now, and changes with their audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.http import HttpRequest

from jobqueue.broker import paces
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import ProcessorLimits, Queue
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.sql.writing import writing

MOST_CONCURRENCY = 1_000_000
MOST_LATE = 30 * 86_400
"""Seconds."""
LIMITS = ("rate_limit", "concurrency_limit", "late_after")
PROCESSOR_LIMITS = ("rate_limit", "concurrency_limit")


def starts_of(queues: Iterable[Queue]) -> dict[str, int]:
    """How many starts count against the rate limit of each queue that has one; none if Redis is away."""
    rates = {queue.name: queue.rate_limit for queue in queues if queue.rate_limit is not None}
    try:
        return paces.starts_in_window(rates)
    except BrokerUnavailable:
        return {}


def change_limits(request: HttpRequest, name: str, asked: Mapping[str, int | None], reason: str = "") -> bool:
    """Set those of `LIMITS` of a queue that are named; None is no limit, of `late_after` the setting's.

    Whether this changed anything. What changes nothing is written down nowhere.
    """
    return _change(request, Queue, name, asked, reason)


def change_processor_limits(
    request: HttpRequest, name: str, asked: Mapping[str, int | None], reason: str = ""
) -> bool:
    """Likewise those of `PROCESSOR_LIMITS` of a processor."""
    return _change(request, ProcessorLimits, name, asked, reason)


def _change(
    request: HttpRequest,
    model: type[Queue] | type[ProcessorLimits],
    name: str,
    asked: Mapping[str, int | None],
    reason: str,
) -> bool:
    with writing(model.objects.db):
        model.objects.bulk_create([model(name=name)], ignore_conflicts=True)  # type: ignore[list-item]
        row = model.objects.select_for_update().get(pk=name)
        before = {field: getattr(row, field) for field in asked}
        changed = {field: value for field, value in asked.items() if before[field] != value}
        if changed:
            model.objects.filter(pk=name).update(**changed)
            log_change(request, row, because(_in_words(before, changed), reason))
    return bool(changed)


def _in_words(before: Mapping[str, int | None], changed: Mapping[str, int | None]) -> str:
    """What of the limits was changed: "Rate limit: none → 10; Concurrency limit: 5 → none"."""
    return "; ".join(
        f"{field.replace('_', ' ').capitalize()}: {_or_none(before[field])} → {_or_none(value)}"
        for field, value in changed.items()
    )


def _or_none(limit: int | None) -> str:
    return "none" if limit is None else f"{limit:,}"
