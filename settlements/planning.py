"""Keeps the waiting reminder jobs of a settlement equal to its plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from jobqueue.jobs import NewJob, database_now, enqueue_many
from jobqueue.models import Job
from settlements.conf import get_settings
from settlements.decisions import REMINDERS, REPLANNED, cancelled_keys, key_of
from settlements.history import counts_as_history
from settlements.models import ReminderDelivery, ReminderType, Settlement
from settlements.moves import HAS_MOVES, drop_moves, moves_of
from settlements.reminders import (
    Moves,
    PlannedReminder,
    calendar,
    current_policy,
    plan_begins_at,
    plan_for,
)


@dataclass(frozen=True, slots=True)
class Replanned:
    """What keeping the plan took."""

    cancelled: int = 0
    created: int = 0


def plan_reminders(
    settlement: Settlement,
    *,
    using: str,
    now: datetime | None = None,
    keep_cancelled: bool = False,
    former_payers: Collection[Any] = (),
) -> Replanned:
    """Cancel the waiting reminders that are not in the plan, and add those of the plan that are missing.

    With `keep_cancelled`, a reminder that somebody cancelled stays cancelled (the reconciler); without,
    the plan is made anew (a change of the settlement). Safe to repeat: the settlement's row is locked.
    Each of the `former_payers` (primary keys) is told that the debt is not his any more, if a letter had
    gone out to him.
    """
    with transaction.atomic(using=using, savepoint=False):
        # The row counts: an instance can be stale, or hold what `update_fields` left out.
        rows = Settlement.objects.using(using).select_for_update(no_key=True)
        current = rows.annotate(has_moves=HAS_MOVES).filter(pk=settlement.pk).first()
        if current is None:
            return Replanned()
        jobs = list(Job.objects.using(using).about(current).filter(processor=REMINDERS))
        unwanted = _unwanted(jobs, current)
        cancelled = _cancel(unwanted, current, using)
        if not (_has_plan(current) or former_payers):
            return Replanned(cancelled)
        settled = {job.unique_key for job in jobs if job not in unwanted and _is_settled(job, keep_cancelled)}
        if keep_cancelled:
            settled |= cancelled_keys(current, using)
        moment = now or database_now(using)
        planned = _planned(current, using, moment, _moves(current, using))
        missing = [
            _new_job(current, key, reminder) for key, reminder in planned.items() if key not in settled
        ]
        released = [_release(current, former_payer, moment) for former_payer in former_payers]
        enqueue_many([*missing, *released], using=using)
    return Replanned(cancelled, len(missing))


def _is_settled(job: Job, keep_cancelled: bool) -> bool:
    """Whether nothing is to be done about the job's reminder any more."""
    return keep_cancelled or job.state != Job.State.CANCELLED


def _moves(current: Any, using: str) -> Moves:
    """What somebody moved; what he moved for another due date or payer is dropped."""
    if not current.has_moves:
        return {}
    drop_moves(current, using)
    return moves_of(current, using)


def _planned(settlement: Settlement, using: str, now: datetime, moves: Moves) -> dict[str, PlannedReminder]:
    """What is still to go out, by unique key; without what went out for an earlier due date already."""
    counted_from_creation = Q(reminder_type__in=[ReminderType.INITIAL, ReminderType.FOLLOW_UP])
    deliveries = ReminderDelivery.objects.using(using).filter(
        counted_from_creation | Q(due_date=settlement.due_date),
        settlement_id=settlement.pk,
        payer_term=settlement.payer_term,
    )
    # What is on its way is neither delivered nor missing.
    sent = set(
        deliveries.exclude(status=ReminderDelivery.Status.NOT_DELIVERED).values_list("reminder_type", "step")
    )
    return {
        _key(settlement, reminder): reminder
        for reminder in (plan_for(settlement, now, current_policy(), moves) if _has_plan(settlement) else ())
        if (reminder.reminder_type, reminder.step) not in sent
    }


def _has_plan(settlement: Settlement) -> bool:
    """Nobody is reminded of what is closed, nor of what is history."""
    return settlement.is_open and not counts_as_history(settlement)


def _key(settlement: Settlement, reminder: PlannedReminder) -> str:
    return key_of(settlement.pk, reminder, settlement.due_date, settlement.payer_term)


def _unwanted(jobs: list[Job], settlement: Settlement) -> list[Job]:
    """What waits for another due date, payer or policy, or for a settlement that is not open.

    What is late, because no worker ran, stays: a worker decides which of the late ones goes out.
    """
    keys: set[str] = set()
    if _has_plan(settlement):
        reminders = calendar(plan_begins_at(settlement), settlement.due_date, current_policy())
        keys = {_key(settlement, reminder) for reminder in reminders}
    return [job for job in jobs if job.state == Job.State.WAITING and not _is_wanted(job, keys, settlement)]


def _is_wanted(job: Job, keys: set[str], settlement: Settlement) -> bool:
    if job.unique_key is not None:
        return job.unique_key in keys and job.payload["user_id"] == _json_id(settlement.payer_id)
    # Somebody asked for this one by hand: it stays as long as what it says is true.
    return settlement.is_open and datetime.fromisoformat(job.payload["due_date"]) == settlement.due_date


def _cancel(jobs: list[Job], settlement: Settlement, using: str) -> int:
    rows = Job.objects.using(using).filter(pk__in=[job.pk for job in jobs])
    return rows.cancel_all(_reason(settlement), tell=False) if jobs else 0


def _reason(settlement: Settlement) -> str:
    if settlement.is_open:
        return f"{REPLANNED}: the settlement changed"
    return f"{REPLANNED}: the settlement is {settlement.status}"


def _new_job(settlement: Settlement, key: str, reminder: PlannedReminder) -> NewJob:
    return NewJob(
        REMINDERS,
        {
            "settlement_id": str(settlement.pk),
            "user_id": _json_id(settlement.payer_id),
            "due_date": settlement.due_date.isoformat(),
            "reminder_type": reminder.reminder_type.value,
            "step": reminder.step,
            "planned": True,
        },
        run_at=reminder.run_at,
        unique_key=key,
        subject=settlement,
    )


def _release(settlement: Settlement, former_payer: Any, now: datetime) -> NewJob:
    return NewJob(
        "settlement.settlement_notification",
        {
            "settlement_id": str(settlement.pk),
            "event": "settlement_released",
            "user_id": _json_id(former_payer),
        },
        run_at=now + get_settings().notification_delay,
        subject=settlement,
    )


def _json_id(identifier: object) -> int | str:
    return identifier if isinstance(identifier, int) else str(identifier)
