"""A bulk action that moves jobs by days: each in a transaction of its own, for the app that owns it is asked.

Its record is locked before the job, as by whoever saves the record; a batch in one transaction would hold
many of them at once. What the app refuses is left out, with its reason, and so is what would move to a time
that is past by then. What somebody keeps locked for longer than LOCK_SECONDS is come back to.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import OperationalError, connections
from django.utils import timezone, translation

from jobqueue.exceptions import JobTransitionRefused, PastRunAt
from jobqueue.models import bulk
from jobqueue.models.bulk import Batch, BulkAction, Step
from jobqueue.models.holding import due_time
from jobqueue.models.job import Job, jobs_in
from jobqueue.sql.writing import writing

LOCK_SECONDS = 2
_LOCK_NOT_AVAILABLE = "55P03"


class NotOurs(Exception):  # noqa: N818 - a word of the walk, not an error of anybody
    """Somebody else walks the action, or it was stopped: what was about to be changed is not."""


def shifted(moment: datetime, days: int, zone: str) -> datetime:
    """So many days later, or earlier, at the same time of day in that zone."""
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(days=days)
    return timezone.make_aware(local, ZoneInfo(zone))


def change(action: BulkAction, ids: Sequence[int], holder: uuid.UUID, using: str) -> Step:
    """Move those of these jobs that are still meant, and note how far that was."""
    known = set(action.waiting_for)
    asked = [number for number in ids if number > action.position or number in known]
    done = Batch()
    try:
        for number in _in_order(action, asked, using):
            one_by_one(action, number, _mover(action), done, holder, using)
        _note(action, ids, asked, done, holder, using)
    except NotOurs:
        return Step(done.changed, is_ours=False)
    return Step(done.changed, is_ours=True)


def _in_order(action: BulkAction, asked: Sequence[int], using: str) -> list[int]:
    """The last ones first where they go later: each makes room for the one before it."""
    rows = jobs_in(using).filter(pk__in=asked).values_list("run_at", "pk")
    found = sorted(rows, reverse=_days(action) > 0)
    there = [number for _run_at, number in found]
    return [*there, *sorted(set(asked) - set(there))]


def _mover(action: BulkAction) -> Callable[[Job], None]:
    return lambda job: job.move(_moment(action, job))


def one_by_one(
    action: BulkAction,
    number: int,
    verb: Callable[[Job], None],
    done: Batch,
    holder: uuid.UUID,
    using: str,
) -> None:
    """Do it to one job, if it is still meant, in a transaction of its own. Raises NotOurs."""
    try:
        # What is refused is written down: in English, whatever the language of this process.
        with translation.override("en"), writing(using):
            _wait_for_locks_briefly(using)
            job = action.meant(using).filter(pk=number).first()
            if job is None:
                done.gone.append(number)
                return
            verb(job)
            jobs_in(using).filter(pk=number).update(bulk_action=action.pk)
            # Last, so that whoever stops the action waits for nobody's record.
            current = bulk.locked(action, holder, using)
            if current is None:
                raise NotOurs
            bulk.move_to(current, current.position, 1, using)
    except (JobTransitionRefused, PastRunAt) as error:
        done.declined[number] = f"#{number}: {error}"
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise
        done.locked.append(number)
    else:
        done.changed += 1
        done.done.append(number)


def _moment(action: BulkAction, job: Job) -> datetime:
    details: Any = action.details
    return shifted(due_time(job), int(details["days"]), str(details["zone"]))


def _days(action: BulkAction) -> int:
    details: Any = action.details
    return int(details["days"])


def _wait_for_locks_briefly(using: str) -> None:
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")


def _note(
    action: BulkAction,
    ids: Sequence[int],
    asked: Sequence[int],
    done: Batch,
    holder: uuid.UUID,
    using: str,
) -> None:
    with writing(using):
        current = bulk.locked(action, holder, using)
        if current is None:
            raise NotOurs
        # After a crash some of the batch had been moved by this very action.
        own = set(jobs_in(using).filter(pk__in=done.gone, bulk_action=action.pk).values_list("pk", flat=True))
        bulk.leave_out(current, "changed", sorted(set(done.gone) - own))
        bulk.leave_out(current, "declined", list(done.declined), list(done.declined.values()))
        current.held_back = sorted((set(current.waiting_for) - set(asked)) | set(done.locked))
        bulk.move_to(current, ids[-1], 0, using)
