"""Keeps the waiting reminder jobs of a settlement equal to its plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from jobqueue.jobs import NewJob, enqueue_many
from jobqueue.models import Job
from settlements.models import ReminderDelivery, ReminderType, Settlement
from settlements.reminders import PlannedReminder, current_policy, plan_for, step_key

REMINDER_PROCESSOR = "reminders.send"


@dataclass(frozen=True, slots=True)
class Replanned:
    """What keeping the plan took."""

    cancelled: int = 0
    created: int = 0


def plan_reminders(
    settlement: Settlement, *, using: str, now: datetime | None = None, keep_cancelled: bool = False
) -> Replanned:
    """Cancel the waiting reminders that are not in the plan, and add those of the plan that are missing.

    With `keep_cancelled`, a reminder that somebody cancelled stays cancelled (the reconciler); without,
    the plan is made anew (a change of the settlement). Safe to repeat: the settlement's row is locked.
    """
    with transaction.atomic(using=using):
        Settlement.objects.using(using).select_for_update().filter(pk=settlement.pk).first()
        planned = _planned(settlement, using, now or timezone.now())
        jobs = list(Job.objects.using(using).about(settlement).filter(processor=REMINDER_PROCESSOR))
        cancelled = _cancel_unplanned(jobs, planned, settlement, using)
        settled = {job.unique_key for job in jobs if keep_cancelled or job.state != Job.State.CANCELLED}
        missing = [
            _new_job(settlement, key, reminder) for key, reminder in planned.items() if key not in settled
        ]
        enqueue_many(missing, using=using)
    return Replanned(cancelled, len(missing))


def _planned(settlement: Settlement, using: str, now: datetime) -> dict[str, PlannedReminder]:
    """The plan by unique key, without the initial reminder if one went out for an earlier due date."""
    reminders = plan_for(settlement, now, current_policy())
    if reminders and reminders[0].reminder_type == ReminderType.INITIAL:
        sent = ReminderDelivery.objects.using(using).filter(
            settlement_id=settlement.pk, reminder_type=ReminderType.INITIAL
        )
        if sent.exists():
            reminders = reminders[1:]
    return {step_key(settlement.pk, reminder, settlement.due_date): reminder for reminder in reminders}


def _cancel_unplanned(
    jobs: list[Job], planned: dict[str, PlannedReminder], settlement: Settlement, using: str
) -> int:
    """Cancel what waits for another due date, another plan or a settlement that is not open."""
    unplanned = [
        job.pk for job in jobs if job.state == Job.State.WAITING and not _is_wanted(job, planned, settlement)
    ]
    rows = Job.objects.using(using).filter(pk__in=unplanned)
    return rows.cancel_all(_reason(settlement)) if unplanned else 0


def _is_wanted(job: Job, planned: dict[str, PlannedReminder], settlement: Settlement) -> bool:
    if job.unique_key is not None:
        return job.unique_key in planned
    # Somebody asked for this one by hand: it stays as long as what it says is true.
    return settlement.is_open and datetime.fromisoformat(job.payload["due_date"]) == settlement.due_date


def _reason(settlement: Settlement) -> str:
    if settlement.is_open:
        return "re-planned: the settlement changed"
    return f"re-planned: the settlement is {settlement.status}"


def _new_job(settlement: Settlement, key: str, reminder: PlannedReminder) -> NewJob:
    return NewJob(
        REMINDER_PROCESSOR,
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


def _json_id(identifier: object) -> int | str:
    return identifier if isinstance(identifier, int) else str(identifier)
