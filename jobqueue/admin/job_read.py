"""The row of one job together with what its page asks of it besides, in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from jobqueue.admin.listing import seen
from jobqueue.models import Attempt, AttemptLog, Job
from jobqueue.operating.verbs import VERBS

_POSSIBLE = "possible_"


@dataclass(frozen=True, slots=True)
class Besides:
    """What else is known of a job, so that nobody has to ask for what is not there."""

    possible: frozenset[str]
    """The names of the verbs that take the job as it is."""
    has_failed: bool
    """Whether an attempt of it left a failure."""
    has_logged: bool
    has_copies: bool


def read_job(number: str) -> tuple[Job, Besides] | None:
    """The job of that number; None if there is none."""
    asked = seen(Job.objects.filter(pk=number)).annotate(**_asked())
    job = asked.first()
    if job is None:
        return None
    found = vars(job)
    if "seen_at" not in found:  # something in its row could be read as a text only
        found = asked.order_by().values("seen_at", "seen_stuck", *_asked()).first() or {}
        vars(job).update({name: found[name] for name in ("seen_at", "seen_stuck") if name in found})
    return job, _besides(found)


def _asked() -> dict[str, Exists]:
    key = OuterRef("pk")
    one = Job.objects.filter(pk=key)
    possible = {f"{_POSSIBLE}{name}": Exists(verb.eligible(one.order_by())) for name, verb in VERBS.items()}
    there: dict[str, QuerySet[Any]] = {
        "has_failed": Attempt.objects.filter(job=key),
        "has_logged": AttemptLog.objects.filter(job=key),
        "has_copies": Job.objects.filter(copied_from=key),
    }
    return possible | {name: Exists(rows.order_by()) for name, rows in there.items()}


def _besides(found: dict[str, Any]) -> Besides:
    possible: Collection[str] = [name for name in VERBS if found.get(f"{_POSSIBLE}{name}")]
    return Besides(
        frozenset(possible),
        has_failed=bool(found.get("has_failed")),
        has_logged=bool(found.get("has_logged")),
        has_copies=bool(found.get("has_copies")),
    )
