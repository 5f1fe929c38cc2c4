"""The processors: how much of a queue each takes up now, what limits it, and how much of that is used up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count

from jobqueue.broker import paces
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, ProcessorLimits
from jobqueue.registry import all_processors
from jobqueue.sql.tolerant import AsText, as_text

MOST_PROCESSORS = 100
"""That are named of all queues together; those that run most."""


def running_by_processor() -> dict[str, list[tuple[str, int]]]:
    """By queue the processors whose jobs run now, each with how many, the most first: one statement."""
    rows = (
        Job.objects.active()
        .order_by()
        .values_list(AsText("queue"), AsText("processor"))
        .annotate(number=Count("id"))
        .order_by("-number")
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for queue, processor, number in rows[:MOST_PROCESSORS]:
        found.setdefault(as_text(queue), []).append((as_text(processor), number))
    return found


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """A processor with its limits and what they let through at this moment."""

    name: str
    queue: str
    """Where its jobs go unless they are told otherwise; empty if this process does not know it."""
    limits: ProcessorLimits
    active: int
    starts: int | None
    """That count against its rate limit; None without one, or without Redis."""

    @property
    def is_limited(self) -> bool:
        """Whether it has any limit."""
        return self.limits.rate_limit is not None or self.limits.concurrency_limit is not None


def processors_in_use(running: Mapping[str, Iterable[tuple[str, int]]] | None = None) -> list[ProcessorUse]:
    """All processors that are registered or have limits, by name.

    `running` is what `running_by_processor` says, where that is known already.
    """
    rows = {row.name: row for row in ProcessorLimits.objects.all()}
    queues = {each.name: each.queue for each in all_processors()}
    active = _active(running_by_processor() if running is None else running)
    starts = starts_of(rows.values())
    return [
        ProcessorUse(
            name,
            queues.get(name, ""),
            rows.get(name) or ProcessorLimits(name),
            active.get(name, 0),
            starts.get(name),
        )
        for name in sorted({*rows, *queues})
    ]


def _active(running: Mapping[str, Iterable[tuple[str, int]]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one_queue in running.values():
        for name, number in one_queue:
            found[name] = found.get(name, 0) + number
    return found


def starts_of(rows: Iterable[ProcessorLimits]) -> dict[str, int]:
    """How many starts count against the rate limit of each processor that has one; none if Redis is away."""
    rates = {row.name: row.rate_limit for row in rows if row.rate_limit is not None}
    try:
        return paces.starts_of_processors(rates)
    except BrokerUnavailable:
        return {}
