"""What operators decide about a settlement's jobs is kept with the settlement: job rows are pruned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from jobqueue.models import Job
from settlements import deliveries
from settlements.models import Cancellation, ReminderDelivery, ReminderType, Settlement
from settlements.reminders import PlannedReminder, step_key

REMINDERS = "reminders.send"
CHECKS = "settlement.payment_status_check"
EMAILS = "email.notification"
REPLANNED = "re-planned"
"""How the reason begins where the plan itself cancelled a reminder."""
DELETED = "the settlement was deleted"


def remember_cancelled(sender: Any, jobs: Sequence[Job], reason: str, using: str, **_: Any) -> None:
    """Note which reminders and payment checks an operator cancelled or deleted, in the same transaction.

    Who cancels the e-mail of a planned reminder has decided about that reminder. The plan's own cancellations
    are not told of. A failed check that is deleted says nothing: it asks no more, and another one may wait.
    """
    if reason == DELETED:
        return
    emails = [job for job in jobs if job.processor == EMAILS]
    decided = [
        Cancellation(settlement_id=settlement_id, unique_key=job.unique_key)
        for job in jobs
        if _is_decided(job) and job.unique_key and (settlement_id := _settlement_of(job))
    ]
    if emails:
        deliveries.note_cancelled(emails, reason, using)
        decided += _reminders_of(emails, using)
    Cancellation.objects.using(using).bulk_create(decided, ignore_conflicts=True)


def _is_decided(job: Job) -> bool:
    return job.processor == REMINDERS or (job.processor == CHECKS and job.state != Job.State.FAILED)


def _settlement_of(job: Job) -> UUID | None:
    """The settlement that the job names; a job that names none can be cancelled like any other."""
    try:
        return UUID(str(job.payload.get("settlement_id")))
    except ValueError:
        return None


def _is_planned(job: Job) -> bool:
    reminder = job.payload.get("reminder")
    return isinstance(reminder, dict) and bool(reminder.get("planned_at"))


def _reminders_of(emails: Sequence[Job], using: str) -> Iterator[Cancellation]:
    """The planned reminders that these e-mails carry; none of them will be delivered by it."""
    planned = {job.pk for job in emails if _is_planned(job)}
    for row in ReminderDelivery.objects.using(using).filter(email_job__in=planned):
        yield Cancellation(settlement_id=row.settlement_id, unique_key=key_of_delivery(row))
    deliveries.give_up_reminders(emails, using)


def give_up_failed(sender: Any, job: Job, outcome: Any, **_: Any) -> None:
    """The reminder of an e-mail that failed for good was not delivered, whatever the error was."""
    if job.processor == EMAILS:
        # Without an outcome its process was lost; then the row says where it is from.
        deliveries.give_up_reminder(job, outcome.using if outcome else str(job._state.db))


def key_of(settlement_id: Any, reminder: PlannedReminder, due_date: datetime, payer_term: int) -> str:
    """The unique key of a reminder to a payer: another one after him gets reminders of his own."""
    key = step_key(settlement_id, reminder, due_date)
    return f"{key}:{payer_term}" if payer_term else key


def key_of_delivery(row: ReminderDelivery) -> str:
    """The unique key under which this reminder is planned."""
    reminder = PlannedReminder(ReminderType(row.reminder_type), row.step, row.due_date)
    return key_of(row.settlement_id, reminder, row.due_date, row.payer_term)


def cancelled_keys(settlement: Settlement, using: str) -> set[str]:
    """The unique keys of what an operator cancelled of this settlement's work."""
    rows = Cancellation.objects.using(using).filter(settlement_id=settlement.pk)
    return set(rows.values_list("unique_key", flat=True))
