"""Jobs that a worker could not run: since when no living worker is known to have the code for them.

In a deploy old and new workers run side by side, and for a moment many jobs have been handed on by one that
does not know them. That alone says nothing of the others: only after a while without any that does, nobody
knows them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connections
from django.db.models.functions import Now

from jobqueue.exceptions import InvalidPayload, UnknownProcessor
from jobqueue.models.transitions import State
from jobqueue.sql.writing import writing

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobqueue.models.querysets import JobQuerySet

UNKNOWN_AFTER = timedelta(seconds=30)
"""So long after it was handed on a job counts as known to no worker.

Workers look for such jobs once a second, ten seconds later after an outage, and it is offered to everybody
again after 1, 2, 4, 8 and 15 seconds: by then each living worker has seen it, and who knows it but has no
room has said so (`mark_known`).
"""
KNOWN_FOR = UNKNOWN_AFTER / 2
"""So long it stands that a worker knows a job: who does says so again before the others speak."""
UNKNOWN_PREFIX = "handed on by a worker that does not know it: "
NEVER_KNOWN = "no worker knew this job for "
"""How the error begins with which such a job fails."""
_ERRORS = (UnknownProcessor.__name__, InvalidPayload.__name__)
_PREFIXES = (UNKNOWN_PREFIX, "no worker knows it: ")
"""Also what earlier versions wrote, which could not know of the others."""


def why_unknown(reason: str) -> str:
    """Why the worker that handed it on could not run it, of the reason that the row keeps."""
    for prefix in _PREFIXES:
        reason = reason.removeprefix(prefix)
    return reason.removesuffix(".")


def never_ran(error: str) -> bool:
    """Whether this is the error of a job, or of an attempt, that failed because no worker could run it."""
    name, _colon, text = error.partition(": ")
    return name in _ERRORS and text.startswith(NEVER_KNOWN)


def known_to_none(jobs: JobQuerySet) -> JobQuerySet:
    """Those that wait and that no worker knows."""
    return jobs.waiting().filter(unfit_since__lte=Now() - UNKNOWN_AFTER)


def mark_known(jobs: JobQuerySet, ids: Collection[int]) -> None:
    """waiting -> waiting: a worker that can run these is there, and has no room: only from now on none is.

    What somebody else changes at this moment is left out, for it is as well looked after.
    """
    with writing(jobs.db):
        rows = jobs.filter(pk__in=ids, state=State.WAITING, unfit_since__lt=Now() - KNOWN_FOR)
        if connections[jobs.db].features.has_select_for_update_skip_locked:
            locked = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            rows = jobs.filter(pk__in=list(locked))
        rows.update(unfit_since=Now())
