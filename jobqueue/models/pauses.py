"""Pauses of queues: begun and ended by operators, or at their time by whoever sees first that it has come.

A pause is one conditional UPDATE, so of two operators at once one begins it; the other may change it, and the
queue is paused all the while. Code of a release before reads
and writes `paused` alone. So a pause whose time has come is ended in the row: workers of that release go on
then too. And what is left of a pause that such code ended is taken away before it could end the next one.
"""

from __future__ import annotations

from copy import copy
from datetime import MAXYEAR, datetime
from enum import Enum, auto

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobqueue.exceptions import ChangedMeanwhile, InvalidPause
from jobqueue.models.queue import Queue
from jobqueue.registry import check_queue
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing

LONGEST_PAUSE_REASON = 500
_NO_PAUSE = {
    "paused": False,
    "paused_at": None,
    "paused_until": None,
    "paused_by": "",
    "pause_reason": "",
}
# As `Queue.is_paused_at` says of a row that was read.
_IS_PAUSED = Q(paused=True) & (Q(paused_until__isnull=True) | Q(paused_until__gt=Now()))


def pause(queue: str, *, by: str = "", reason: str = "", until: datetime | None = None) -> bool:
    """Start no more jobs of the queue from now on, or until then; what runs ends as usual.

    Returns whether this changed anything: False if it is paused already. Raises UnknownQueue if RQ_QUEUES
    does not have it, and InvalidPause for an end that is not ahead, has no time zone or is at the end of
    the calendar, and for a reason that is too long.
    """
    check_queue(queue)
    using = Queue.objects.db
    now = database_now(using)
    _check(reason, until, now)
    with writing(using):
        rows = Queue.objects.using(using).filter(pk=queue)
        Queue.objects.using(using).get_or_create(name=queue)
        changed = rows.exclude(_IS_PAUSED).update(
            paused=True, paused_at=now, paused_until=until, paused_by=by[:200], pause_reason=reason
        )
    return bool(changed)


class Stays(Enum):
    """In the place of a value: what is there stays."""

    AS_IT_IS = auto()


def change_pause(
    queue: str,
    *,
    by: str = "",
    reason: str | Stays = Stays.AS_IT_IS,
    until: datetime | Stays | None = Stays.AS_IT_IS,
    seen: Queue | None = None,
) -> tuple[Queue, Queue] | None:
    """Give the pause that the queue is in another reason or end.

    Returns the row before and after; None if nothing differs, or it is not paused. The queue is paused all
    the while, since when it was. Raises what `pause` raises. Whoever goes by the row that was `seen` gets
    ChangedMeanwhile where what is to be changed differs by now, or the queue is not paused any more.
    """
    check_queue(queue)
    using = Queue.objects.db
    _check(
        "" if reason is Stays.AS_IT_IS else reason,
        None if until is Stays.AS_IT_IS else until,
        database_now(using),
    )
    with writing(using):
        rows = Queue.objects.using(using).filter(_IS_PAUSED, pk=queue)
        before = rows.select_for_update().first()
        if seen is not None and _is_another(before, seen, reason, until):
            raise ChangedMeanwhile(f"the pause of {queue} was changed meanwhile")
        if before is None:
            return None
        after = copy(before)
        after.pause_reason = before.pause_reason if reason is Stays.AS_IT_IS else reason
        after.paused_until = before.paused_until if until is Stays.AS_IT_IS else until
        if (after.pause_reason, after.paused_until) == (before.pause_reason, before.paused_until):
            return None
        after.paused_by = by[:200]
        rows.update(
            pause_reason=after.pause_reason, paused_until=after.paused_until, paused_by=after.paused_by
        )
    return before, after


def _is_another(
    before: Queue | None, seen: Queue, reason: str | Stays, until: datetime | Stays | None
) -> bool:
    if before is None:
        return True
    is_other_reason = reason is not Stays.AS_IT_IS and before.pause_reason != seen.pause_reason
    return is_other_reason or (until is not Stays.AS_IT_IS and before.paused_until != seen.paused_until)


def resume(queue: str) -> bool:
    """Start jobs of the queue again; whether this changed anything: False if it is not paused.

    One whose time has come is none, whatever the row says still: nobody's click ended it.
    """
    using = Queue.objects.db
    with writing(using):
        return bool(Queue.objects.using(using).filter(_IS_PAUSED, pk=queue).update(**_NO_PAUSE))


def end_pauses() -> int:
    """End the pauses whose time has come, and forget what is left of those that older code ended.

    Returns how many rows that changed.
    """
    using = Queue.objects.db
    with writing(using):
        return to_end(Queue.objects.using(using).all()).update(**_NO_PAUSE)


def to_end(queues: QuerySet[Queue]) -> QuerySet[Queue]:
    """Those of the queues whose row says more of a pause than is so by the database's clock."""
    is_over = Q(paused=True) & ~_IS_PAUSED
    is_left = Q(paused=False) & (Q(paused_at__isnull=False) | Q(paused_until__isnull=False))
    return queues.filter(is_over | is_left)


def _check(reason: str, until: datetime | None, now: datetime) -> None:
    if "\x00" in reason:
        raise InvalidPause(_("the reason of a pause cannot have the character U+0000"))
    if len(reason) > LONGEST_PAUSE_REASON:
        text = _("the reason of a pause must be at most %(most)s characters, not %(number)s")
        raise InvalidPause(text % {"most": LONGEST_PAUSE_REASON, "number": len(reason)})
    if until is None:
        return
    if until.tzinfo is None:
        raise InvalidPause(_("the end of a pause must have a time zone"))
    if until.year == MAXYEAR:  # not every zone has all of it, and databases keep it in UTC
        raise InvalidPause(_("the end of a pause must be before the year %(year)s") % {"year": MAXYEAR})
    if until <= now:
        text = _("the end of a pause must be ahead, not %(moment)s")
        raise InvalidPause(text % {"moment": until.isoformat(timespec="seconds")})
