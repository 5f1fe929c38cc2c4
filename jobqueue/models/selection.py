"""Which jobs are meant, as a value: asked of a page, kept in a row, told in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db.models import TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from jobqueue.models.held import HELD_UNTIL

if TYPE_CHECKING:
    from jobqueue.models.querysets import JobQuerySet

_TIMES = ("ended_from", "ended_to", "due_from", "due_to")
UNKNOWN_CAUSE = "(unknown cause)"
"""What pages and addresses call the cause of failures that were written down without one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs in one state, narrowed by what is not empty; times are aware: when they ended, or are to run.

    `kind` is a value of the payload under `kind_key`. With `held` the held jobs are meant, by the time at
    which they were to run; of those that are to run, held ones never are.
    `listed` says in words which list showed them, where no other word does: their ids are kept beside it;
    `queue` stands there too where that list was of one queue.
    """

    state: str = "failed"
    cause: str = ""
    queue: str = ""
    processor: str = ""
    ended_from: datetime | None = None
    ended_to: datetime | None = None
    listed: str = ""
    due_from: datetime | None = None
    due_to: datetime | None = None
    kind_key: str = ""
    kind: str = ""
    held: str = ""

    def of(self, jobs: JobQuerySet) -> JobQuerySet:
        """Those of the jobs that are meant."""
        chosen = jobs.filter(state=self.state) if self.state else jobs
        if self.cause:
            chosen = chosen.filter(cause="" if self.cause == UNKNOWN_CAUSE else self.cause)
        if self.queue:
            chosen = chosen.filter(queue=self.queue)
        if self.processor:
            chosen = chosen.filter(processor=self.processor)
        if self.ended_from is not None:
            chosen = chosen.filter(finished_at__gte=self.ended_from)
        if self.ended_to is not None:
            chosen = chosen.filter(finished_at__lt=self.ended_to)
        return self._of_kind(self._of_time(chosen))

    def _of_time(self, jobs: JobQuerySet) -> JobQuerySet:
        if self.due_from is None or self.due_to is None:
            return jobs
        if self.held:
            bounds = {"held_run_at__gte": self.due_from, "held_run_at__lt": self.due_to}
            return jobs.filter(run_at__gte=HELD_UNTIL, **bounds)
        return jobs.filter(run_at__gte=self.due_from, run_at__lt=self.due_to, held_run_at__isnull=True)

    def _of_kind(self, jobs: JobQuerySet) -> JobQuerySet:
        if not self.kind_key:
            return jobs
        kind = Cast(KeyTextTransform(self.kind_key, "payload"), TextField())
        rows = jobs.alias(kind_of_job=kind)
        return rows.filter(kind_of_job=self.kind)

    def as_json(self) -> dict[str, str]:
        """What is not empty, as a row keeps it."""
        return {name: _text(value) for name, value in asdict(self).items() if value or name == "state"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The selection that `as_json` wrote. Raises ValueError for what it would not write."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"a selection has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**{name: _value(name, text) for name, text in values.items()})


def _text(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value


def _value(name: str, text: str) -> Any:
    return datetime.fromisoformat(text) if name in _TIMES else text
