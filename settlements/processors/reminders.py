"""`reminders.send`: looks at the world again, and then asks for at most one e-mail a reminder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet

from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, current_database, current_job, processor
from jobqueue.models import Job
from settlements.emails import check_address
from settlements.exceptions import InvalidEmailAddress
from settlements.jobs import add_letter_job
from settlements.letters import Reminder
from settlements.models import ReminderDelivery, ReminderType, Settlement
from settlements.rows import Question
from settlements.truth import QUIET_HOURS, Verdict, look


@processor(
    "reminders.send",
    queue="reminders",
    timeout=30,
    counter=TypeCounter(
        "settlement_reminders_total", payload_key="reminder_type", known=tuple(ReminderType.values)
    ),
)
def send(
    settlement_id: str,
    user_id: int | str,
    due_date: str,
    reminder_type: str,
    step: int = 0,
    planned: bool = False,
) -> Skipped | None:
    """Deliver one reminder, unless the world has moved on. `planned` ones keep to the plan's rules."""
    using = current_database() or router.db_for_write(Settlement)
    with transaction.atomic(using=using):
        # The lock makes this decision and a save of the settlement happen one after the other.
        settlement = (
            Settlement.objects.using(using).select_for_update(no_key=True).filter(pk=settlement_id).first()
        )
        if settlement is None:
            return Skipped("settlement was deleted")
        job = current_job()
        reminder = reminder_of(job, due_date, reminder_type, step, planned)
        verdict = look(question_of(settlement, user_id, reminder, job), using)
        if verdict.skip is not None:
            return Skipped(verdict.skip)
        _check_reachable(verdict, user_id)
        if verdict.wait is not None:
            raise RetryLater(verdict.wait, QUIET_HOURS)
        return _deliver(settlement, verdict.rows.person, reminder, using)


def reminder_of(job: Job | None, due_date: str, reminder_type: str, step: int, planned: bool) -> Reminder:
    """Which reminder a job with this payload brings."""
    planned_at = job.created_at if planned and job else None
    return Reminder(reminder_type, step, datetime.fromisoformat(due_date), planned_at)


def question_of(settlement: Settlement, user_id: int | str, reminder: Reminder, job: Job | None) -> Question:
    """What the rows are asked before a reminder is decided on."""
    return Question(
        f"reminder_{reminder.reminder_type}",
        user_id=user_id,
        settlement_id=settlement.pk,
        reminder=reminder,
        asked_at=job.created_at if job else None,
    )


def _check_reachable(verdict: Verdict, user_id: int | str) -> None:
    try:
        check_address(verdict.address)
    except InvalidEmailAddress as error:
        raise Discard(f"user {user_id} cannot be reached: {error}") from None


def why_not_again(settlement: Settlement, reminder: Reminder, using: str) -> str | None:
    """Why this reminder, which is true, would still not be asked for: it went out, or is on its way."""
    deliveries = _deliveries(settlement, reminder, using)
    if reason := _why_not_initial(deliveries, settlement, reminder):
        return reason
    delivery = deliveries.filter(step=reminder.step, due_date=settlement.due_date).first()
    return _why_not_again(delivery) if delivery is not None else None


def _deliveries(settlement: Settlement, reminder: Reminder, using: str) -> QuerySet[ReminderDelivery]:
    rows = ReminderDelivery.objects.using(using).select_related("email_job")
    return rows.filter(
        settlement=settlement, reminder_type=reminder.reminder_type, payer_term=settlement.payer_term
    )


def _why_not_initial(
    deliveries: QuerySet[ReminderDelivery], settlement: Settlement, reminder: Reminder
) -> str | None:
    """A new due date brings no second initial reminder."""
    earlier = deliveries.exclude(due_date=settlement.due_date, step=reminder.step)
    not_delivered = ReminderDelivery.Status.NOT_DELIVERED
    if reminder.reminder_type == ReminderType.INITIAL and earlier.exclude(status=not_delivered).exists():
        return "the initial reminder went out already"
    return None


def _deliver(settlement: Settlement, user: Any, reminder: Reminder, using: str) -> Skipped | None:
    deliveries = _deliveries(settlement, reminder, using)
    if reason := _why_not_initial(deliveries, settlement, reminder):
        return Skipped(reason)
    delivery, is_new = deliveries.get_or_create(
        settlement=settlement,
        reminder_type=reminder.reminder_type,
        payer_term=settlement.payer_term,
        step=reminder.step,
        due_date=settlement.due_date,
        defaults={"recipient": user, "status": ReminderDelivery.Status.ON_ITS_WAY},
    )
    if not is_new and (reason := _why_not_again(delivery)):
        return Skipped(reason)
    delivery.recipient, delivery.status = user, ReminderDelivery.Status.ON_ITS_WAY
    delivery.email_job = _add_letter(settlement, user, reminder, using)
    fields = ["email_job", "recipient", "status"]
    if not is_new:
        # Decided on anew: what was asked for before this moment is earlier.
        delivery.created_at = delivery.email_job.created_at
        fields.append("created_at")
    delivery.save(using=using, update_fields=fields)
    return None


def _why_not_again(delivery: ReminderDelivery) -> str | None:
    """A reminder that was not delivered may be asked for again; one that may still go out must not."""
    if delivery.status == ReminderDelivery.Status.DELIVERED:
        return "this reminder went out already"
    email_job = delivery.email_job
    if email_job is None or email_job.state in (Job.State.FAILED, Job.State.CANCELLED, Job.State.COMPLETED):
        return None
    return "this reminder is on its way"


def _add_letter(settlement: Settlement, user: Any, reminder: Reminder, using: str) -> Job:
    return add_letter_job(
        settlement,
        user.pk,
        f"reminder_{reminder.reminder_type}",
        reminder={
            "reminder_type": str(reminder.reminder_type),
            "step": reminder.step,
            "due_date": reminder.due_date.isoformat(),
            "planned_at": reminder.planned_at.isoformat() if reminder.planned_at else None,
        },
        using=using,
    )
