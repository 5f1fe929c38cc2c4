"""The rules: what a saved settlement or payment leads to. One line a rule, in `connect`."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, pre_save

from jobqueue.models import Job
from jobqueue.signals import Change, on_save
from settlements.conf import get_settings
from settlements.exceptions import CurrencyMismatch
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement
from settlements.planning import plan_reminders


def connect() -> None:
    """Connect every rule to its model."""
    pre_save.connect(mark_as_announced, sender=Settlement, dispatch_uid="settlements.mark_settlement")
    pre_save.connect(mark_as_announced, sender=Payment, dispatch_uid="settlements.mark_payment")
    post_delete.connect(cancel_jobs, sender=Settlement, dispatch_uid="settlements.cancel_jobs")

    on_save(
        Settlement,
        notify_about_settlement,
        fields=["status", "due_date", "amount", "amount_currency", "description"],
    )
    on_save(Settlement, keep_reminder_plan, fields=["status", "due_date", "payer"])
    on_save(Settlement, complete_if_paid, fields=["amount", "amount_currency"])
    on_save(Payment, check_status_later, fields=["status"])
    on_save(Payment, complete_if_covered, fields=["status", "amount", "amount_currency"])
    on_save(Payment, notify_about_payment, fields=["status"])


def mark_as_announced(
    sender: type[Settlement | Payment], instance: Settlement | Payment, raw: bool, using: str, **_: Any
) -> None:
    """Remember with the row what its jobs are told by this save; what `loaddata` writes counts as told."""
    is_new = raw or instance._state.adding
    columns = [*instance.ANNOUNCED, *instance.ANNOUNCED.values()]
    rows = sender._base_manager.using(using).select_for_update().filter(pk=instance.pk).values(*columns)
    instance.mark_as_announced(None if is_new else rows.first())


def cancel_jobs(sender: Any, instance: Settlement, using: str, **_: Any) -> None:
    """A deleted settlement's waiting jobs have nothing left to do."""
    Job.objects.using(using).about(instance).cancel_all("the settlement was deleted")


# Settlements --------------------------------------------------------------------------------------


def notify_about_settlement(settlement: Settlement, change: Change) -> None:
    """Created, or changed in a way that payer and payee should hear of."""
    event = settlement_event(settlement, change)
    # Created and updated share a key: what is changed before the first e-mail is out is in that e-mail.
    topic = "terms" if event in ("settlement_created", "settlement_updated") else event
    add_settlement_processing_job(
        settlement.pk,
        "settlement_notification",
        event=event,
        delay=get_settings().notification_delay,
        unique_key=f"notification:{settlement.pk}:{topic}",
        using=change.using,
    )


def settlement_event(settlement: Settlement, change: Change) -> str:
    """The template type that tells of this change."""
    if change.created:
        return "settlement_created"
    if change.became("status", Settlement.Status.COMPLETED):
        return "settlement_completed"
    if change.became("status", Settlement.Status.CANCELLED):
        return "settlement_cancelled"
    if settlement.is_open and change.old("status") in (
        Settlement.Status.COMPLETED,
        Settlement.Status.CANCELLED,
    ):
        return "settlement_reopened"
    return "settlement_updated"


def keep_reminder_plan(settlement: Settlement, change: Change) -> None:
    """Created, reopened, completed, cancelled, due date or payer changed: the waiting reminders follow."""
    if not _is_part_payment(change):
        plan_reminders(settlement, using=change.using)


def _is_part_payment(change: Change) -> bool:
    """Open before and after: the plan is the same, and what an operator cancelled in it stays cancelled."""
    return set(change.fields) == {"status"} and set(change.fields["status"]) <= set(Settlement.OPEN)


def complete_if_paid(settlement: Settlement, change: Change) -> None:
    """A changed amount may be covered by what was paid already, or not any more."""
    if not change.created:
        _auto_complete(settlement.pk, change, reopen=_was_covered(settlement, change))


def _was_covered(settlement: Settlement, change: Change) -> bool:
    """Whether the payments covered the amount before: if not, somebody completed it by hand."""
    try:
        return "amount" in change and bool(settlement.paid().amount >= change.old("amount"))
    except CurrencyMismatch:
        return False


# Payments -----------------------------------------------------------------------------------------


def check_status_later(payment: Payment, change: Change) -> None:
    """Pending or processing: ask the gateway after a while."""
    if change.became("status", *Payment.UNSETTLED):
        add_settlement_processing_job(
            payment.settlement_id,
            "payment_status_check",
            delay=get_settings().payment_check.first_delay,
            unique_key=f"payment_status_check:{payment.settlement_id}",
            using=change.using,
        )


def complete_if_covered(payment: Payment, change: Change) -> None:
    """Completed, or not any more: the settlement's status follows what is paid."""
    counted = payment.status == Payment.Status.COMPLETED
    counted_before = change.old("status") == Payment.Status.COMPLETED
    if counted or counted_before:
        _auto_complete(payment.settlement_id, change, reopen=not counted or _is_lowered(change))


def _is_lowered(change: Change) -> bool:
    """Whether a payment that counts, and did before, is of a smaller amount now."""
    if "status" in change or "amount" not in change:
        return False
    before, now = change.fields["amount"]
    return bool(now < before)


def notify_about_payment(payment: Payment, change: Change) -> None:
    """Received, failed or refunded."""
    event = {
        Payment.Status.COMPLETED: "payment_received",
        Payment.Status.FAILED: "payment_failed",
        Payment.Status.REFUNDED: "payment_refunded",
    }.get(Payment.Status(payment.status))
    if event and change.became("status", payment.status):
        add_settlement_processing_job(
            payment.settlement_id,
            "settlement_notification",
            event=event,
            payment_id=payment.pk,
            unique_key=f"notification:{payment.pk}:{event}",
            using=change.using,
        )


def _auto_complete(settlement_id: Any, change: Change, *, reopen: bool) -> None:
    # Two keys: a job that may not reopen must not stand in for one that must.
    key = f"auto_complete:{settlement_id}:reopen" if reopen else f"auto_complete:{settlement_id}"
    add_settlement_processing_job(
        settlement_id, "auto_complete", reopen=reopen, unique_key=key, using=change.using
    )
