"""What waits for its time, by day and kind: one statement, however many jobs there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from jobqueue.models.holding import held
from jobqueue.models.job import Job
from jobqueue.models.querysets import JobQuerySet


@dataclass(frozen=True, slots=True)
class Slot:
    """So many jobs of one kind wait for the day of that number."""

    day: int
    processor: str
    kind: str
    jobs: int


def by_day(edges: list[datetime], kind_keys: dict[str, str], using: str) -> list[Slot]:
    """How many jobs wait for each day, by kind; day `n` is between edges `n` and `n + 1`.

    `kind_keys` names by processor the argument that says which kind a job is.
    """
    rows = between(edges[0], edges[-1], using)
    day = _day_of("run_at", edges)
    found = rows.annotate(day=day, kind=_kind(kind_keys)).order_by().values_list("day", "processor", "kind")
    return [Slot(*row) for row in found.annotate(jobs=Count("pk"))]


def held_by_day(edges: list[datetime], using: str) -> dict[int, int]:
    """How many held jobs were to run on each day; -1 stands for all other days."""
    rows = held(Job.objects.using(using).all()).order_by()
    found = rows.annotate(day=_day_of("held_run_at", edges)).values_list("day").annotate(jobs=Count("pk"))
    return dict(found)


def _day_of(column: str, edges: list[datetime]) -> Case:
    """The number of the day on which a time lies; -1 for one that lies on none."""
    before = When(**{f"{column}__lt": edges[0]}, then=Value(-1))
    days = (When(**{f"{column}__lt": edge}, then=Value(number)) for number, edge in enumerate(edges[1:]))
    return Case(before, *days, default=Value(-1))


def between(first: datetime, end: datetime, using: str) -> JobQuerySet:
    """The delayed jobs that run from `first` on and before `end`, by their time."""
    return (
        Job.objects.using(using).delayed().filter(run_at__gte=first, run_at__lt=end).order_by("run_at", "pk")
    )


def of_kind(jobs: JobQuerySet, processor: str, kind: str, kind_keys: dict[str, str]) -> JobQuerySet:
    """Those of one kind; all of the processor where it has none."""
    chosen = jobs.filter(processor=processor)
    return (
        chosen.filter(**{f"payload__{kind_keys[processor]}": kind})
        if kind and processor in kind_keys
        else chosen
    )


def _kind(kind_keys: dict[str, str]) -> Coalesce:
    by_key: dict[str, list[str]] = {}
    for processor, key in kind_keys.items():
        by_key.setdefault(key, []).append(processor)
    cases: Iterable[When] = (
        When(processor__in=names, then=KeyTextTransform(key, "payload")) for key, names in by_key.items()
    )
    empty = Value("", output_field=TextField())
    return Coalesce(Case(*cases, default=empty, output_field=TextField()), empty)
