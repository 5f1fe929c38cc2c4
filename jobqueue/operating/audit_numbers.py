"""How many jobs the actions of the audit changed: of bulk actions their own rows know it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jobqueue.models import AuditEntry, BulkAction

_MOST_DIGITS = 18  # what is longer is the number of no row, and too large for a database


@dataclass(frozen=True, slots=True)
class Jobs:
    """How many jobs an action changed, of a bulk action by now, of how many that were meant."""

    changed: int
    expected: int


def with_jobs(entries: Iterable[AuditEntry]) -> list[tuple[AuditEntry, Jobs]]:
    """The entries, each with how many it changed; at most one statement for all of them.

    A bulk action whose row was pruned changed as many as were meant, as far as is known.
    """
    found = list(entries)
    bulk = BulkAction._meta.label_lower
    keys = {one.object_id for one in found if one.object_type == bulk}
    numbers = [int(key) for key in keys if key.isascii() and key.isdecimal() and len(key) <= _MOST_DIGITS]
    rows = BulkAction.objects.filter(pk__in=numbers).values_list("pk", "changed", "expected")
    known = {str(key): Jobs(changed, expected) for key, changed, expected in (rows if numbers else ())}
    others = [Jobs(one.jobs, one.jobs) for one in found]
    return [
        (one, known.get(one.object_id, jobs) if one.object_type == bulk else jobs)
        for one, jobs in zip(found, others, strict=True)
    ]
