"""What a job's attempts logged, as somebody may see it: their lines may be about people and amounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobqueue.masking import HIDDEN, mask_addresses
from jobqueue.models import AttemptLog, Job, LogLine, latest_logs
from jobqueue.operating.reading import Asked, may_read
from jobqueue.operating.words import printable

MOST_LOGS = 20
"""Attempts whose lines are shown, the newest that logged anything."""


@dataclass(frozen=True, slots=True)
class ShownLog:
    """What one attempt logged: its first lines and, behind what was left out, its last ones."""

    number: int
    written_at: datetime
    first: Sequence[LogLine]
    left_out: int
    last: Sequence[LogLine]

    @property
    def parts(self) -> Sequence[tuple[int, Sequence[LogLine]]]:
        """How many lines were left out before some of them, and these; twice."""
        return (0, self.first), (self.left_out, self.last)

    @property
    def count(self) -> int:
        """How many lines it logged, with those left out."""
        return len(self.first) + self.left_out + len(self.last)


def shown_logs(job: Job, request: Asked) -> list[ShownLog]:
    """What the job's attempts logged, in their order; without `view_payload` the form of it alone."""
    return [_shown(row, is_masked=not may_read(request)) for row in latest_logs(job, MOST_LOGS)]


def _shown(row: AttemptLog, *, is_masked: bool) -> ShownLog:
    kept = row.kept
    lines = list(_lines(kept.lines, is_masked))
    split = kept.left_out_after if kept.left_out else len(lines)
    return ShownLog(row.number, row.written_at, lines[:split], kept.left_out, lines[split:])


def _lines(lines: Sequence[LogLine], is_masked: bool) -> Iterator[LogLine]:
    for seconds, level, logger, message in lines:
        name = mask_addresses(logger) if is_masked else logger
        text = HIDDEN if is_masked else printable(message)
        yield LogLine(seconds, printable(level), printable(name), text)
