"""The limits of queues and processors: how many starts use them up now, and changes with their audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.http import HttpRequest

from jobqueue.broker import paces
from jobqueue.exceptions import BrokerUnavailable, ChangedMeanwhile
from jobqueue.models import AuditEntry, ProcessorLimits, Queue
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.sql.writing import writing

MOST_CONCURRENCY = 1_000_000
MOST_LATE = 30 * 86_400
"""Seconds."""
LIMITS = ("rate_limit", "concurrency_limit", "late_after")
PROCESSOR_LIMITS = ("rate_limit", "concurrency_limit")
Limits = Mapping[str, int | None]
_MOST_LOOKED_AT = 20
"""Changes of a row's limits that are asked for who set one of them."""


def starts_of(queues: Iterable[Queue]) -> dict[str, int]:
    """How many starts count against the rate limit of each queue that has one; none if Redis is away."""
    rates = {queue.name: queue.rate_limit for queue in queues if queue.rate_limit is not None}
    try:
        return paces.starts_in_window(rates)
    except BrokerUnavailable:
        return {}


def change_limits(
    request: HttpRequest, name: str, asked: Limits, reason: str = "", *, seen: Limits | None = None
) -> bool:
    """Set those of `LIMITS` of a queue that are named; None is no limit, of `late_after` the setting's.

    Whether this changed anything. What changes nothing is written down nowhere. Whoever goes by what was
    `seen` of these limits gets ChangedMeanwhile, and nothing is written, where one of them differs by now
    and is not as it was asked for either.
    """
    return _change(request, Queue, name, asked, reason, seen)


def change_processor_limits(
    request: HttpRequest, name: str, asked: Limits, reason: str = "", *, seen: Limits | None = None
) -> bool:
    """Likewise those of `PROCESSOR_LIMITS` of a processor."""
    return _change(request, ProcessorLimits, name, asked, reason, seen)


def _change(
    request: HttpRequest,
    model: type[Queue] | type[ProcessorLimits],
    name: str,
    asked: Limits,
    reason: str,
    seen: Limits | None,
) -> bool:
    with writing(model.objects.db):
        model.objects.bulk_create([model(name=name)], ignore_conflicts=True)  # type: ignore[list-item]
        row = model.objects.select_for_update().get(pk=name)
        before = {field: getattr(row, field) for field in asked}
        changed = {field: value for field, value in asked.items() if before[field] != value}
        if seen is not None and any(before[field] != seen[field] for field in changed):
            raise ChangedMeanwhile(f"the limits of {name} were changed meanwhile")
        if changed:
            model.objects.filter(pk=name).update(**changed)
            log_change(request, row, because(_in_words(before, changed), reason))
    return bool(changed)


def who_limited(row: Queue | ProcessorLimits, field: str) -> str:
    """Who gave this limit the value that it has; empty if no operator did lately."""
    label = type(row)._meta.label_lower
    entries = AuditEntry.objects.filter(object_type=label, object_id=row.pk, verb="Limits").order_by("-id")
    begin, end = _named(field), f"→ {_or_none(getattr(row, field))}"
    for who, text in entries.values_list("who", "text")[:_MOST_LOOKED_AT]:
        said = [part for part in text.removesuffix(".").split("; ") if part.startswith(begin)]
        if said:
            return who if said[0].endswith(end) else ""
    return ""


def _in_words(before: Limits, changed: Limits) -> str:
    """What of the limits was changed: "Rate limit: none → 10; Concurrency limit: 5 → none"."""
    return "; ".join(
        f"{_named(field)} {_or_none(before[field])} → {_or_none(value)}" for field, value in changed.items()
    )


def _named(field: str) -> str:
    return f"{field.replace('_', ' ').capitalize()}:"


def _or_none(limit: int | None) -> str:
    return "none" if limit is None else f"{limit:,}"
