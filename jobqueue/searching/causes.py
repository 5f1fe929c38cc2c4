"""The errors by which jobs failed and that have what was looked for in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Case, Count, F, Q, QuerySet, TextField, Value, When

from jobqueue.models import Job
from jobqueue.searching import conditions
from jobqueue.searching.shown import name_says, says
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.known_values import known_values
from jobqueue.sql.tolerant import AsText, as_text

_MOST_CAUSES = 2_000
"""Names that are looked at: there are some ten, unless somebody else wrote them."""


@dataclass(frozen=True, slots=True)
class FoundCause:
    """An error as the failed jobs show it, and how many do."""

    error: str
    jobs: int
    cause: str = ""
    """The cause that is kept with these jobs; empty for those that were written down without one."""


@dataclass(frozen=True, slots=True)
class Failures:
    """How many jobs of a database are failed, no further than one more than NEWEST, and by which causes."""

    number: int
    causes: list[str]
    may_read: bool
    """Whether whoever asks may read payloads."""

    def by(self, text: str) -> Q:
        """Failed jobs with this text in their error, or in the name of its cause as the pages say it.

        Names are few: to look into each row a second time took twice as long.
        """
        is_cut = len(self.causes) >= _MOST_CAUSES
        named = [name for name in self.causes if name_says(name, text, may_read=self.may_read)]
        of_cause = says("cause", text, may_read=self.may_read) if is_cut else Q(cause__in=named)
        said = says("reason", text, may_read=self.may_read)
        return Q(state=Job.State.FAILED) & (said | of_cause if named or is_cut else said)


def statement_of_failures(using: str, *, cause: int, number: int) -> str:
    """The statement that gives by which causes jobs failed, and how many: `Failures`.

    Its rows have three columns: the one or the other of these two, then the number, then the cause.
    """
    connection = connections[using]
    table, is_failed = Job._meta.db_table, f"state = '{Job.State.FAILED}'"
    # SQLite keeps any bytes as a text, and cannot give back those that are none.
    causes = known_values(connection, table, "cause", _MOST_CAUSES, is_failed)
    value = "CAST(value AS BLOB)" if connection.vendor == "sqlite" else "value"
    return (
        f"SELECT {cause:d}, CAST(0 AS bigint), {value} FROM ({causes}) AS known"
        f" UNION ALL SELECT {number:d}, COUNT(*), NULL"
        f" FROM (SELECT 1 FROM {table} WHERE {is_failed} LIMIT {conditions.NEWEST + 1}) AS failed"
    )


def causes_among(
    failed: QuerySet[Any], wanted: Q, said: Q | None, most: int
) -> tuple[list[FoundCause], bool]:
    """The most frequent errors of those failed jobs that are wanted, and whether there are any such jobs.

    Where `said` is given only those errors are told of which it is true; the others are wanted for more.
    """
    rows = failed.filter(wanted).order_by()
    try:
        groups = _grouped(rows, F("reason"), said, most)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        groups = _grouped(rows, AsText("reason"), said, most)
    found = [
        FoundCause(as_text(cause or reason), jobs, as_text(cause)) for cause, reason, jobs in groups if jobs
    ]
    return found, bool(groups)


def _grouped(rows: QuerySet[Any], reason: Any, said: Q | None, most: int) -> list[tuple[Any, Any, int]]:
    """By cause, and jobs without one by their reason."""
    error = Case(When(cause="", then=reason), default=Value(""), output_field=TextField())
    groups = rows.annotate(error=error).values("cause", "error").annotate(jobs=Count("pk", filter=said))
    return list(groups.order_by("-jobs", "cause", "error").values_list("cause", "error", "jobs")[:most])
