"""Which jobs are meant, as a value: asked of a page, kept in a row, told in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from jobqueue.models.querysets import JobQuerySet

UNKNOWN_CAUSE = "(unknown cause)"
"""What pages and addresses call the cause of failures that were written down without one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs in one state, narrowed by what is not empty; times are those at which they ended, aware.

    `listed` says in words which list showed them, where no other word does: their ids are kept beside it.
    """

    state: str = "failed"
    cause: str = ""
    queue: str = ""
    processor: str = ""
    ended_from: datetime | None = None
    ended_to: datetime | None = None
    listed: str = ""

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
        return chosen

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
    return datetime.fromisoformat(text) if name in ("ended_from", "ended_to") else text
