"""The rules: what a saved settlement or payment leads to. One line a rule, in `connect`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Value
from django.db.models.signals import post_delete, pre_delete, pre_save

from jobqueue.models import Job, subject_of
from jobqueue.rules import Change, before_save, on_save
from jobqueue.signals import job_cancelled, job_failed, job_moving
from settlements import decisions, moving
from settlements.conf import get_settings
from settlements.history import counts_as_history, is_history
from settlements.jobs import add_settlement_processing_job
from settlements.letters import TAKEN_BACK
from settlements.models import PaidByPayments, Payment, Settlement
from settlements.planning import plan_reminders


def connect() -> None:
    """Connect every rule to its model."""
    pre_save.connect(take_as_told, sender=Settlement, dispatch_uid="settlements.before_settlement")
    pre_save.connect(take_as_told, sender=Payment, dispatch_uid="settlements.before_payment")
    before_save(
        Settlement, make_settlement_right, columns=Settlement.columns_before_save(), computed=_what_is_paid
    )
    before_save(Payment, make_payment_right, columns=Payment.columns_before_save())
    post_delete.connect(cancel_jobs, sender=Settlement, dispatch_uid="settlements.cancel_jobs")
    pre_delete.connect(before_delete, sender=Payment, dispatch_uid="settlements.before_delete")
    post_delete.connect(follow_deleted, sender=Payment, dispatch_uid="settlements.follow_deleted")
    job_cancelled.connect(decisions.remember_cancelled, sender=Job, dispatch_uid="settlements.cancelled")
    job_moving.connect(moving.note_move, sender=Job, dispatch_uid="settlements.moving")
    job_failed.connect(decisions.give_up_failed, sender=Job, dispatch_uid="settlements.failed")

    on_save(
        Settlement,
        notify_about_settlement,
        fields=["status", "due_date", "amount", "amount_currency", "description"],
    )
    on_save(Settlement, keep_reminder_plan, fields=["status", "due_date", "payer", "history"])
    on_save(Settlement, follow_amount, fields=["amount", "amount_currency"])
    on_save(Payment, check_status_later, fields=["status"])
    on_save(Payment, move_checks, fields=["settlement"])
    on_save(
        Payment,
        follow_payment,
        fields=["status", "amount", "amount_currency", "refunded_amount", "settlement"],
    )
    on_save(Payment, notify_about_payment, fields=["status", "refunded_amount", "settlement"])


def take_as_told(sender: Any, instance: Settlement | Payment, raw: bool, **_: Any) -> None:
    """What `loaddata` writes is taken as it is, and as told."""
    if raw:
        if isinstance(instance, Settlement) and not instance.announced_status:
            _take_as_new(instance)
        instance.mark_as_announced(None)


def make_payment_right(payment: Payment, stored: Mapping[str, Any] | None, using: str) -> None:
    """Make the row right before it is written."""
    payment.before_save(stored)


def make_settlement_right(settlement: Settlement, stored: Mapping[str, Any] | None, using: str) -> None:
    """Make the row right before it is written."""
    settlement.before_save(stored)
    if settlement.history is None:
        if stored is None:
            settlement.history = is_history(settlement)
        elif not stored["announced_status"]:
            # Written in bulk, and saved before the reconciler met it: what counts is how it was written.
            settlement.history = is_history(settlement, stored["status"])


def _what_is_paid(settlement: Settlement) -> dict[str, Any]:
    """What payments count towards it, in the currency that the save writes."""
    code = settlement.written_currency()
    return {"counted": PaidByPayments(currency=Value(code) if code else "amount_currency")}


def _take_as_new(settlement: Settlement) -> None:
    """A fixture that somebody wrote by hand says nothing of decisions and history: they are a new row's."""
    if not settlement.is_open and not settlement.decided_status:
        settlement.adopt_status(Decimal(0))
    if settlement.history is None:
        settlement.history = is_history(settlement)


def cancel_jobs(sender: Any, instance: Settlement, using: str, **_: Any) -> None:
    """A deleted settlement's waiting jobs have nothing left to do."""
    Job.objects.using(using).about(instance).cancel_all("the settlement was deleted")


# Settlements --------------------------------------------------------------------------------------


def notify_about_settlement(settlement: Settlement, change: Change) -> None:
    """Created, or changed in a way that payer and payee should hear of; history is silent."""
    event = settlement_event(settlement, change)
    if event is None or counts_as_history(settlement):
        return
    # Created and updated share a key: what is changed before the first e-mail is out is in that e-mail.
    topic = "terms" if event in ("settlement_created", "settlement_updated") else event
    add_settlement_processing_job(
        settlement,
        "settlement_notification",
        event=event,
        delay=get_settings().notification_delay,
        unique_key=f"notification:{settlement.pk}:{topic}",
        using=change.using,
    )


def settlement_event(settlement: Settlement, change: Change) -> str | None:
    """The template type that tells of this change; None if nobody needs to hear of it."""
    if change.created and settlement.status == Settlement.Status.COMPLETED and not settlement.decided_status:
        return None  # a settlement of 0
    if change.became("status", Settlement.Status.COMPLETED):
        return "settlement_completed"
    if change.became("status", Settlement.Status.CANCELLED):
        return "settlement_cancelled"
    if change.created:
        return "settlement_created"
    if settlement.is_open and change.old("status") in (
        Settlement.Status.COMPLETED,
        Settlement.Status.CANCELLED,
    ):
        return "settlement_reopened"
    return "settlement_updated"


def keep_reminder_plan(settlement: Settlement, change: Change) -> None:
    """Created, opened, closed, history or not, due date or payer changed: the waiting reminders follow."""
    if _is_part_payment(change) or (change.created and settlement.history):
        return
    if set(change.fields) != {"history"} or settlement.history or change.old("history"):
        plan_reminders(settlement, using=change.using, former_payers=_former_payers(settlement, change))


def _former_payers(settlement: Settlement, change: Change) -> set[Any]:
    """Who owed it before this change; also whom an update replaced that nobody was told of yet."""
    if "payer" not in change.fields:
        return set()
    return {change.old("payer"), settlement.payer_told_before} - {None, settlement.payer_id}


def _is_part_payment(change: Change) -> bool:
    """Open before and after: the plan is the same, and what an operator cancelled in it stays cancelled."""
    return set(change.fields) == {"status"} and set(change.fields["status"]) <= set(Settlement.OPEN)


def follow_amount(settlement: Settlement, change: Change) -> None:
    """A changed amount may be covered by what was paid already, or not any more.

    A new settlement has no payments: one that says it is paid in part is not.
    """
    if not change.created or settlement.status == Settlement.Status.PARTIALLY_PAID:
        follow_payments(settlement.pk, using=change.using)


# Payments -----------------------------------------------------------------------------------------


def check_status_later(payment: Payment, change: Change) -> None:
    """Pending or processing: ask the gateway after a while."""
    if change.became("status", *Payment.UNSETTLED):
        add_settlement_processing_job(
            Settlement(pk=payment.as_saved("settlement_id")),
            "payment_status_check",
            payment_id=payment.pk,
            delay=get_settings().payment_check.first_delay,
            unique_key=f"payment_status_check:{payment.pk}",
            using=change.using,
        )


def move_checks(payment: Payment, change: Change) -> None:
    """The waiting check of a payment that moved is no longer about the settlement that it left."""
    if change.created:
        return
    checks = Job.objects.using(change.using).unfinished().about(Settlement(pk=change.old("settlement")))
    checks.filter(processor=decisions.CHECKS, payload__payment_id=str(payment.pk)).update(
        subject=subject_of(Settlement(pk=payment.as_saved("settlement_id")))
    )


def follow_payment(payment: Payment, change: Change) -> None:
    """What counts may have changed: the status of its settlement follows, of both if it moved."""
    # A status written without save() may have counted before this save, though nobody was told of it.
    told = payment.announced_before.get("announced_status")
    if Payment.Status.COMPLETED not in (payment.as_saved("status"), change.old("status"), told):
        return
    settlements = {
        str(key) for key in (payment.as_saved("settlement_id"), change.old("settlement")) if key is not None
    }
    # In one order always: two payments that change places must not wait for each other.
    for settlement_id in sorted(settlements):
        follow_payments(settlement_id, using=change.using)


def before_delete(sender: Any, instance: Payment, using: str, **kwargs: Any) -> None:
    """Note what the row says: the instance may be older."""
    if not _goes_with_its_settlement(kwargs.get("origin")):
        rows = Payment._base_manager.using(using).select_for_update(no_key=True).filter(pk=instance.pk)
        instance.deleted_row = rows.values("settlement_id", "status", "announced_status").first()


def follow_deleted(sender: Any, instance: Payment, using: str, **kwargs: Any) -> None:
    """A deleted payment counts no more; unless its settlement is deleted with it."""
    row = instance.deleted_row
    if _goes_with_its_settlement(kwargs.get("origin")) or row is None:
        return
    if Payment.Status.COMPLETED not in (row["status"], row["announced_status"]):
        return
    if Settlement._base_manager.using(using).filter(pk=row["settlement_id"]).exists():
        follow_payments(row["settlement_id"], using=using)


def _goes_with_its_settlement(origin: Any) -> bool:
    return issubclass(getattr(origin, "model", type(origin)), Settlement)


def follow_payments(settlement_id: Any, *, using: str, stays_completed: bool = False) -> None:
    """Have the settlement's status derived anew; or only what fits nowhere noted, if it stays completed."""
    add_settlement_processing_job(
        Settlement(pk=settlement_id),
        "auto_complete",
        reopen=False if stays_completed else None,
        unique_key=key_of_following(settlement_id, stays_completed=stays_completed),
        using=using,
    )


def key_of_following(settlement_id: Any, *, stays_completed: bool = False) -> str:
    """The unique key of the job that derives a settlement's status anew."""
    return f"auto_complete:{settlement_id}{':stays' if stays_completed else ''}"


def notify_about_payment(payment: Payment, change: Change) -> None:
    """Received, failed, or refunded whole or in part; one that moved was received by the other settlement."""
    event = _payment_event(payment, change)
    if event is None:
        return
    add_settlement_processing_job(
        Settlement(pk=payment.as_saved("settlement_id")),
        "settlement_notification",
        event=event,
        payment_id=payment.pk,
        unique_key=f"notification:{payment.pk}:{event}",
        using=change.using,
    )


def _payment_event(payment: Payment, change: Change) -> str | None:
    if change.became("status", Payment.Status.FAILED):
        return "payment_failed"
    if change.became("status", Payment.Status.REFUNDED):
        return "payment_refunded"
    if payment.as_saved("status") != Payment.Status.COMPLETED:
        return None
    if change.old("status") != Payment.Status.REFUNDED and (
        change.became("status", Payment.Status.COMPLETED) or change.old("settlement") is not None
    ):
        return "payment_received"
    before, now = change.fields.get("refunded_amount", (None, None))
    if now == before:
        return None
    return "payment_refunded" if now else TAKEN_BACK
