"""`reminders.send`: looks at the world again, and then asks for at most one e-mail a reminder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import router, transaction

from jobqueue.clock import database_now
from jobqueue.execution import current_database, current_job
from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, processor
from settlements.emails import check_address
from settlements.exceptions import InvalidEmailAddress
from settlements.jobs import add_email_notification_job
from settlements.models import ReminderDelivery, ReminderType, Settlement
from settlements.reminders import current_policy, out_of_quiet_hours, superseded_for


@processor(
    "reminders.send",
    queue="reminders",
    timeout=30,
    counter=TypeCounter("settlement_reminders_total", payload_key="reminder_type"),
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
        settlement = Settlement.objects.using(using).select_for_update().filter(pk=settlement_id).first()
        if settlement is None:
            return Skipped("settlement was deleted")
        reason = why_not(settlement, datetime.fromisoformat(due_date))
        if reason is None and planned:
            reason = _why_not_planned(settlement, reminder_type, step, now=database_now(using))
        if reason is not None:
            return Skipped(reason)
        return _deliver(settlement, user_id, ReminderType(reminder_type), step, using)


def why_not(settlement: Settlement, due_date: datetime) -> str | None:
    """Why no reminder may go out; None if one may."""
    if settlement.status == Settlement.Status.COMPLETED:
        return "settlement already completed"
    if settlement.status == Settlement.Status.CANCELLED:
        return "settlement cancelled"
    if settlement.reminders_paused:
        return "reminders are paused"
    if settlement.due_date != due_date:
        return f"due date moved to {settlement.due_date.isoformat()}"
    return None


def _why_not_planned(settlement: Settlement, reminder_type: str, step: int, *, now: datetime) -> str | None:
    job, policy = current_job(), current_policy()
    planned_at = job.created_at if job else now
    if superseded_for(settlement, reminder_type, step, planned_at=planned_at, now=now, policy=policy):
        return "a later reminder is due as well"
    quiet_until = out_of_quiet_hours(now, policy)
    if quiet_until > now:
        raise RetryLater(quiet_until - now, "quiet hours")
    return None


def _deliver(
    settlement: Settlement, user_id: int | str, reminder_type: ReminderType, step: int, using: str
) -> Skipped | None:
    user: Any = get_user_model()._default_manager.using(using).filter(pk=user_id).first()
    if user is None:
        raise Discard(f"user {user_id} does not exist any more")
    if not user.email:
        return Skipped(f"user {user_id} has no e-mail address")
    try:
        check_address(user.email)
    except InvalidEmailAddress as error:
        raise Discard(f"user {user_id} cannot be reached: {error}") from None
    deliveries = ReminderDelivery.objects.using(using)
    if (
        reminder_type == ReminderType.INITIAL
        and deliveries.filter(settlement=settlement, reminder_type=reminder_type).exists()
    ):
        return Skipped("the initial reminder went out already")
    delivery, is_new = deliveries.get_or_create(
        settlement=settlement,
        reminder_type=reminder_type,
        step=step,
        due_date=settlement.due_date,
        defaults={"recipient": user},
    )
    if not is_new:
        return Skipped("this reminder went out already")
    delivery.email_job = add_email_notification_job(
        user.pk,
        user.email,
        "",
        f"reminder_{reminder_type.value}",
        {"settlement_id": str(settlement.pk)},
        using=using,
    )
    delivery.save(using=using, update_fields=["email_job"])
    return None
