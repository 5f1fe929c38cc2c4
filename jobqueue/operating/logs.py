"""What a job's attempts logged, as somebody may see it: their lines may be about people and amounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobqueue.masking import HIDDEN
from jobqueue.models import AttemptLog, Job, LogLine, latest_logs
from jobqueue.operating.reading import Asked, may_read
from jobqueue.operating.words import mask_addresses, printable

MOST_LOGS = 20
"""Attempts whose lines are shown, the newest that logged anything."""
MOST_LINES = 2_000
"""Lines of all these attempts together: a page with so many takes 60 ms more than one with none."""


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
    is_masked, room, logs = not may_read(request), MOST_LINES, []
    for row in reversed(latest_logs(job, MOST_LOGS)):
        log = _shown(row, room, is_masked=is_masked)
        room -= len(log.first) + len(log.last)
        logs.append(log)
    return logs[::-1]


def _shown(row: AttemptLog, room: int, *, is_masked: bool) -> ShownLog:
    kept = row.kept
    lines, count = list(_lines(kept.lines, is_masked)), len(kept.lines)
    # Where the first lines end and the last ones begin; there is one gap, also where both leave out some.
    ends, begins = (kept.left_out_after,) * 2 if kept.left_out else (count, 0)
    if count > room:
        ends, begins = min(ends, room // 2), max(begins, count - room + room // 2)
    else:
        begins = ends
    left_out = kept.left_out + max(0, min(begins, count) - ends)
    return ShownLog(row.number, row.written_at, lines[:ends], left_out, lines[begins:])


def _lines(lines: Sequence[LogLine], is_masked: bool) -> Iterator[LogLine]:
    for seconds, level, logger, message in lines:
        name = mask_addresses(logger) if is_masked else logger
        text = HIDDEN if is_masked else printable(message)
        yield LogLine(seconds, printable(level), printable(name), text)
