"""Takes apart what fails together, until each that fails stands alone; those are set aside, by proof.

A step is taken for many rows at once. Where it raises what a row can bring about (`sql/blame.py`), it is
taken for fewer and fewer of them. What still raises alone is the row's own trouble only if the same step
works for a healthy row right after: that row is written for the purpose and taken back. So an outage, a
missing table or a fault of ours sets nothing aside.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import transaction
from django.db.models.functions import Now

from jobqueue.delivery.charted import count_names_on_commit
from jobqueue.models import Attempt, Job, JobQuerySet, jobs_in, transitions
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.texts import clean
from jobqueue.sql.tolerant import AsText, as_text, unreadable
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Step = Callable[[Job], object]
_HEALTHY = "jobqueue.healthy"
_LONGEST_WHY = 300
_LONGEST_TRACEBACK = 20_000


@dataclass
class Apart(Generic[Item, Answer]):
    """What became of items that a step was taken for in parts."""

    done: list[Answer] = field(default_factory=list)
    refused: list[tuple[Item, Exception]] = field(default_factory=list)
    """Those for which it raises alone."""
    left: list[Item] = field(default_factory=list)
    """Those that it was not taken for, because of `error`: no row can bring that about."""
    error: Exception | None = None


def take_apart(items: Sequence[Item], step: Callable[[Sequence[Item]], Answer]) -> Apart[Item, Answer]:
    """Take a step for these items together; where that fails, in parts: it does all of one, or nothing."""
    found: Apart[Item, Answer] = Apart()
    parts = [items] if items else []
    while parts:
        some = parts.pop()
        try:
            found.done.append(step(some))
        except Exception as error:
            if not may_be_of_a_row(error):
                found.error = error
                found.left = [item for part in [*parts, some] for item in part]
                break
            if len(some) == 1:
                found.refused.append((some[0], error))
            else:
                parts += _halves(some)
    return found


def _halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    """In two, the first half last: that is the next to be taken."""
    middle = len(items) // 2
    return [part for part in (items[middle:], items[:middle]) if part]


def blame(row: JobQuerySet, error: Exception, step: Step) -> bool:
    """Set this one row aside for what it raised, if a healthy row passes the step. Returns whether it was.

    `step` changes rows alone: nothing else could be taken back.
    """
    if not may_be_of_a_row(error):
        return False
    refusal = _refusal_of_a_healthy_row(row.db, step)
    if refusal is not None:
        logger.warning("a healthy job fails like others, so none is set aside: %s", type(refusal).__name__)
        return False
    return set_aside(row, _why(error), error)


def _refusal_of_a_healthy_row(using: str, step: Step) -> Exception | None:
    try:
        with writing(using):
            job = Job.unsaved(processor=_HEALTHY, queue=_HEALTHY, payload={}, timeout=1.0)
            job.published_at = Now()
            transitions.insert(jobs_in(using), [job])
            step(job)
            transaction.set_rollback(True, using=using)
    except Exception as error:
        return error
    return None


def set_aside(row: JobQuerySet, why: str, error: Exception | None = None) -> bool:
    """Set this one row aside; as far as it goes with a failed attempt that says what happened.

    Returns whether it was: a row that cannot be written stays as it is, and is tried again later.
    """
    try:
        with writing(row.db):
            # Queue and processor as texts: they may be what cannot be read.
            found = list(row.values_list("pk", "attempt", AsText("queue"), AsText("processor")))
            changed = transitions.set_aside(row, why)
            for job_id, attempt, *_names in found if changed else ():
                _note(row.db, job_id, attempt, why, error)
            names = [(as_text(queue), as_text(processor)) for *_ids, queue, processor in found]
            count_names_on_commit(names if changed else [], "failed", row.db)
    except Exception as failure:
        logger.warning("a job cannot be set aside for now: %s", type(failure).__name__)
        return False
    for job_id, attempt, *_names in found if changed else ():
        what = type(error).__name__ if error else why  # an error's text may quote the row
        ids = {"job_id": job_id, "attempt": attempt}
        logger.error("job %s is set aside: %s", job_id, what, extra=ids)
    return bool(changed)


def _note(using: str, job_id: int, attempt: int, why: str, error: Exception | None) -> None:
    """The attempt, where it can be written: it may have a row already, or a number that is none."""
    with suppress(Exception), writing(using):
        Attempt.objects.using(using).create(
            job_id=job_id,
            number=attempt,
            error_class=type(error).__name__ if error else "SetAside",
            message=clean(why, _LONGEST_WHY),
            traceback=clean("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK) if error else "",
        )


def _why(error: Exception) -> str:
    """The error in one line: what databases write below it quotes the row."""
    lines = str(error).strip().splitlines()
    return clean(f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": "), _LONGEST_WHY)


def readable(rows: JobQuerySet, among: JobQuerySet) -> list[Job]:
    """The jobs without those that cannot be read: they are set aside, if they are `among` these still."""
    jobs = list(rows)
    odd = [job for job in jobs if unreadable(job)]
    for job in odd:
        set_aside(among.filter(pk=job.pk), unreadable(job))
    return [job for job in jobs if not unreadable(job)] if odd else jobs
