"""The processors of a settlement: complete it, check its payments, tell people, set up its reminders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import router, transaction

from jobqueue.execution import current_database, current_job
from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, processor
from jobqueue.models import Job, subject_of
from settlements.conf import get_settings
from settlements.emails import check_address
from settlements.exceptions import CurrencyMismatch, GatewayError, GatewayRefused, InvalidEmailAddress
from settlements.gateways import UNKNOWN, GatewayAnswer, get_gateway
from settlements.jobs import add_email_notification_job
from settlements.models import Payment, Settlement
from settlements.planning import plan_reminders


def _counter(process_type: str) -> TypeCounter:
    return TypeCounter("settlement_processing_total", value=process_type)


@contextmanager
def _locked(settlement_id: str) -> Iterator[tuple[Settlement | None, str]]:
    """The settlement, locked for the length of one transaction, and its database."""
    using = current_database() or router.db_for_write(Settlement)
    with transaction.atomic(using=using):
        rows = (
            Settlement.objects.using(using).select_for_update(of=("self",)).select_related("payer", "payee")
        )
        yield rows.filter(pk=settlement_id).first(), using


# Completing ---------------------------------------------------------------------------------------


@processor("settlement.auto_complete", queue="settlement", timeout=30, counter=_counter("auto_complete"))
def auto_complete(settlement_id: str, reopen: bool | None = None) -> Skipped | None:
    """Make the settlement's status follow its completed payments.

    A completed one stays so, because somebody may have completed it by hand, unless `reopen` says that
    money is missing now. Without `reopen`, a refund says so.
    """
    with _locked(settlement_id) as (settlement, using):
        if settlement is None:
            return Skipped("settlement was deleted")
        if settlement.status == Settlement.Status.CANCELLED:
            return Skipped("settlement cancelled")
        try:
            status = settlement.status_by_payments()
        except CurrencyMismatch as error:
            raise Discard(str(error)) from error
        may_reopen = settlement.has_refunds() if reopen is None else reopen
        if settlement.status == Settlement.Status.COMPLETED and not may_reopen:
            status = settlement.status
        if status == settlement.status:
            return Skipped(f"settlement already {settlement.get_status_display()}")
        _transition(settlement, status)
        settlement.save(using=using, update_fields=["status"])
    return None


def _transition(settlement: Settlement, status: str) -> None:
    if status == Settlement.Status.COMPLETED:
        settlement.complete()
    elif status == Settlement.Status.PARTIALLY_PAID:
        settlement.mark_partially_paid()
    else:
        settlement.reopen()


# Checking payments --------------------------------------------------------------------------------


@processor(
    "settlement.payment_status_check",
    queue="settlement",
    timeout=120,
    counter=_counter("payment_status_check"),
)
def payment_status_check(settlement_id: str) -> Skipped | None:
    """Ask the gateway about every unsettled payment, and come again while any is unsettled."""
    using = current_database() or router.db_for_write(Settlement)
    if _has_newer_check(settlement_id, using):
        return Skipped("a newer check takes over")
    payments = Payment.objects.using(using).filter(settlement_id=settlement_id)
    unsettled = list(payments.filter(status__in=Payment.UNSETTLED).order_by("created_at"))
    if not unsettled:
        return Skipped("no payment is unsettled")
    trouble, refusals, asked_to_wait = _ask_about(unsettled, using)
    left = payments.filter(status__in=Payment.UNSETTLED).count()
    if left > len(refusals):
        delay = max(get_settings().payment_check.next_delay(_checks_done()), asked_to_wait)
        unsettled_text = "1 payment is unsettled" if left == 1 else f"{left} payments are unsettled"
        raise RetryLater(delay, "; ".join([unsettled_text, *trouble, *refusals]))
    if refusals:
        # Asking again is no use for any that is left.
        raise Discard("; ".join(refusals))
    return None


def _has_newer_check(settlement_id: str, using: str) -> bool:
    """A check that keeps coming again leaves the field to the one that a newer payment asked for."""
    job = current_job()
    checks = Job.objects.using(using).filter(
        subject=subject_of(Settlement(pk=settlement_id)), processor="settlement.payment_status_check"
    )
    return job is not None and checks.waiting().filter(pk__gt=job.pk).exists()


def _checks_done() -> int:
    """How many checks this job made before this one and with it."""
    job = current_job()
    return job.attempt if job else 1


def _ask_about(payments: list[Payment], using: str) -> tuple[list[str], list[str], timedelta]:
    """Ask about each payment and apply the answers. What went wrong, what was refused, how long to wait."""
    gateway = get_gateway()
    trouble: list[str] = []
    refusals: list[str] = []
    wait = timedelta(0)
    for payment in payments:
        try:
            _apply(payment, gateway.status_of(payment), using)
        except GatewayRefused as error:
            refusals.append(str(error))
        except GatewayError as error:
            trouble.append(str(error))
            wait = max(wait, getattr(error, "retry_after", None) or timedelta(0))
    return trouble, refusals, wait


def _apply(payment: Payment, answer: GatewayAnswer, using: str) -> None:
    """Take the gateway's answer over, unless somebody settled the payment meanwhile."""
    if answer.status in (UNKNOWN, payment.status):
        return
    with transaction.atomic(using=using):
        current = Payment.objects.using(using).select_for_update().filter(pk=payment.pk).first()
        if current is None or current.status not in Payment.UNSETTLED:
            return
        current.status, current.failure_reason = answer.status, answer.reason
        current.save(using=using, update_fields=["status", "failure_reason"])


# Telling people -----------------------------------------------------------------------------------


@processor(
    "settlement.settlement_notification",
    queue="settlement",
    timeout=30,
    counter=_counter("settlement_notification"),
)
def settlement_notification(
    settlement_id: str, event: str = "", payment_id: str | None = None
) -> Skipped | None:
    """Ask for one e-mail to each person whom the event concerns.

    An address that is none fails the job for people to see, but only after the others were told.
    """
    with _locked(settlement_id) as (settlement, using):
        if settlement is None:
            return Skipped("settlement was deleted")
        event = event or _event_by_status(settlement)
        reason = _why_not(settlement, event) or _why_not_payment(payment_id, using)
        if reason is not None:
            return Skipped(reason)
        people = [person for person in _recipients(settlement, event) if person.email]
        if not people:
            return Skipped("nobody concerned has an e-mail address")
        unreachable = {person.pk: trouble for person in people if (trouble := _trouble_with(person.email))}
        for person in people:
            if person.pk not in unreachable:
                _ask_for_email(settlement, person, event, payment_id, using)
    if unreachable:
        raise Discard("; ".join(f"user {pk} cannot be reached: {text}" for pk, text in unreachable.items()))
    return None


def _trouble_with(address: str) -> str | None:
    try:
        check_address(address)
    except InvalidEmailAddress as error:
        return str(error)
    return None


def _event_by_status(settlement: Settlement) -> str:
    return {
        Settlement.Status.COMPLETED: "settlement_completed",
        Settlement.Status.CANCELLED: "settlement_cancelled",
    }.get(Settlement.Status(settlement.status), "settlement_updated")


def _why_not(settlement: Settlement, event: str) -> str | None:
    """Why the event is no longer news; None if it is."""
    status = settlement.get_status_display()
    if event == "settlement_completed" and settlement.status != Settlement.Status.COMPLETED:
        return f"settlement is {status} again"
    if event == "settlement_cancelled" and settlement.status != Settlement.Status.CANCELLED:
        return f"settlement is {status} again"
    if event == "settlement_reopened" and not settlement.is_open:
        return f"settlement is {status} again"
    if (
        event in ("settlement_created", "settlement_updated")
        and settlement.status == Settlement.Status.CANCELLED
    ):
        return "settlement cancelled"
    return None


def _why_not_payment(payment_id: str | None, using: str) -> str | None:
    if payment_id is None or Payment.objects.using(using).filter(pk=payment_id).exists():
        return None
    return "payment was deleted"


def _recipients(settlement: Settlement, event: str) -> list[Any]:
    if event == "payment_failed":
        return [settlement.payer]
    if event == "payment_received":
        return [settlement.payee]
    both = [settlement.payer, settlement.payee]
    return both if settlement.payer_id != settlement.payee_id else both[:1]


def _ask_for_email(
    settlement: Settlement, person: Any, event: str, payment_id: str | None, using: str
) -> None:
    """Once for each notification job and person, however often that job runs: the settlement is locked."""
    job = current_job()
    key = f"email:{job.pk}:{person.pk}" if job else None
    if key and Job.objects.using(using).about(settlement).filter(unique_key=key).exists():
        return
    data = {"settlement_id": str(settlement.pk)}
    if payment_id is not None:
        data["payment_id"] = payment_id
    add_email_notification_job(person.pk, person.email, "", event, data, unique_key=key, using=using)


# Reminders ----------------------------------------------------------------------------------------


@processor(
    "settlement.periodic_reminder", queue="settlement", timeout=30, counter=_counter("periodic_reminder")
)
def periodic_reminder(settlement_id: str) -> Skipped | None:
    """Set up the reminder plan, or what is missing of it."""
    with _locked(settlement_id) as (settlement, using):
        if settlement is None:
            return Skipped("settlement was deleted")
        if not settlement.is_open:
            return Skipped(f"settlement already {settlement.get_status_display()}")
        changed = plan_reminders(settlement, using=using)
        if not changed.created and not changed.cancelled:
            return Skipped("the reminder plan is complete")
    return None
