"""The processors of a settlement: complete it, check its payments, tell people, set up its reminders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import router, transaction

from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, current_database, current_job, processor
from jobqueue.models import Job, subject_of
from settlements import discrepancies
from settlements.conf import get_settings
from settlements.decisions import CHECKS
from settlements.emails import check_address
from settlements.exceptions import GatewayContradiction, GatewayError, GatewayRefused, InvalidEmailAddress
from settlements.gateways import UNKNOWN, GatewayAnswer, get_gateway
from settlements.jobs import add_letter_job, add_settlement_processing_job
from settlements.letters import Facts, people_for, why_not
from settlements.models import Payment, Settlement
from settlements.planning import plan_reminders
from settlements.rows import Question
from settlements.status_words import written_status
from settlements.truth import look


def _counter(process_type: str) -> TypeCounter:
    return TypeCounter("settlement_processing_total", value=process_type)


@contextmanager
def _locked(settlement_id: str) -> Iterator[tuple[Settlement | None, str]]:
    """The settlement, locked for the length of one transaction, and its database."""
    using = current_database() or router.db_for_write(Settlement)
    with transaction.atomic(using=using):
        rows = (
            Settlement.objects.using(using)
            .select_for_update(of=("self",), no_key=True)
            .select_related("payer", "payee")
        )
        yield rows.filter(pk=settlement_id).first(), using


# Completing ---------------------------------------------------------------------------------------


@processor("settlement.auto_complete", queue="settlement", timeout=30, counter=_counter("auto_complete"))
def auto_complete(settlement_id: str, reopen: bool | None = None) -> Skipped | None:
    """Make the settlement's status follow its payments and what was decided; note money that fits nowhere.

    With `reopen=False` a completed settlement stays so, though its payments do not cover it.
    """
    with _locked(settlement_id) as (settlement, using):
        if settlement is None:
            return Skipped("settlement was deleted")
        paid = settlement.paid().amount
        if settlement.announced_status != settlement.status:
            # Somebody wrote the status without save(); until the reconciler tells of it, it is a decision.
            settlement.adopt_status(paid)
        discrepancies.note(settlement, paid, using)
        if settlement.status == Settlement.Status.CANCELLED:
            return Skipped("settlement cancelled")
        stays = settlement.status == Settlement.Status.COMPLETED and reopen is False
        if stays or not settlement.follow_payments(paid):
            return Skipped(f"settlement already {written_status(settlement)}")
        settlement.save(using=using, update_fields=["status"])
    return None


# Checking payments --------------------------------------------------------------------------------


@processor(
    "settlement.payment_status_check",
    queue="settlement",
    timeout=120,
    counter=_counter("payment_status_check"),
)
def payment_status_check(settlement_id: str, payment_id: str | None = None) -> Skipped | None:
    """Ask the gateway about a payment, and come again while it is unsettled.

    Without a payment: about the oldest unsettled one, and every other gets a check of its own, because a
    provider that is slow about one must hold up no other.
    """
    using = current_database() or router.db_for_write(Settlement)
    if payment_id is None:
        return _check_all(settlement_id, using)
    payment = Payment.objects.using(using).filter(pk=payment_id).first()
    if payment is None:
        return Skipped("payment was deleted")
    if payment.status not in Payment.UNSETTLED:
        return Skipped(f"payment is {written_status(payment)}")
    return _check(payment, using)


def _check_all(settlement_id: str, using: str) -> Skipped | None:
    payments = Payment.objects.using(using).filter(settlement_id=settlement_id)
    unsettled = list(payments.filter(status__in=Payment.UNSETTLED).order_by("created_at", "pk"))
    if not unsettled:
        return Skipped("no payment is unsettled")
    # Not the active ones: one of them may just leave its payment to this job.
    checks = Job.objects.using(using).waiting().about(Settlement(pk=settlement_id))
    payloads = checks.filter(processor=CHECKS).values_list("payload", flat=True)
    checked = {payload.get("payment_id") for payload in payloads}
    left = [payment for payment in unsettled if str(payment.pk) not in checked]
    for payment in left[1:]:
        add_settlement_processing_job(
            settlement_id,
            "payment_status_check",
            payment_id=payment.pk,
            unique_key=f"payment_status_check:{payment.pk}",
            using=using,
        )
    return _check(left[0], using) if left else Skipped("every unsettled payment has a check of its own")


def _check(payment: Payment, using: str) -> Skipped | None:
    if _has_newer_check(payment, using):
        return Skipped("a newer check takes over")
    asked_to_wait, trouble = timedelta(0), "the payment is unsettled"
    try:
        _apply(payment, get_gateway().status_of(payment), using)
    except GatewayContradiction as error:
        discrepancies.note_contradiction(payment, str(error), using)
        raise Discard(str(error)) from None
    except GatewayRefused as error:
        # Asking again is no use.
        raise Discard(str(error)) from None
    except GatewayError as error:
        trouble = f"{trouble}; {error}"
        asked_to_wait = getattr(error, "retry_after", None) or timedelta(0)
    if Payment.objects.using(using).filter(pk=payment.pk, status__in=Payment.UNSETTLED).exists():
        delay = max(get_settings().payment_check.next_delay(_checks_done()), asked_to_wait)
        raise RetryLater(delay, trouble)
    return None


def _has_newer_check(payment: Payment, using: str) -> bool:
    """A check that keeps coming again leaves the field to the one that a newer change asked for."""
    job = current_job()
    checks = Job.objects.using(using).filter(
        subject=subject_of(Settlement(pk=payment.settlement_id)),
        processor=CHECKS,
    )
    if job is None:
        return False
    newer = checks.waiting().filter(pk__gt=job.pk).values_list("payload", flat=True)
    return any(payload.get("payment_id") in (None, str(payment.pk)) for payload in newer)


def _checks_done() -> int:
    """How many checks this job made before this one and with it."""
    job = current_job()
    return job.attempt if job else 1


def _apply(payment: Payment, answer: GatewayAnswer, using: str) -> None:
    """Take the gateway's answer over, unless somebody settled the payment meanwhile."""
    if answer.status in (UNKNOWN, payment.status):
        return
    with transaction.atomic(using=using):
        current = Payment.objects.using(using).select_for_update(no_key=True).filter(pk=payment.pk).first()
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
    settlement_id: str,
    event: str = "",
    payment_id: str | None = None,
    user_id: int | str | None = None,
) -> Skipped | None:
    """Ask for one e-mail to each person whom the event concerns, or to `user_id` alone.

    An address that is none fails the job for people to see, but only after the others were told.
    """
    with _locked(settlement_id) as (settlement, using):
        if settlement is None:
            return Skipped("settlement was deleted")
        event = event or event_by_status(settlement)
        if event == "settlement_cancelled":
            discrepancies.note(settlement, settlement.paid().amount, using)
        if user_id is not None:
            return _tell_one(settlement, user_id, event, using)
        reason = why_not_told(settlement, event, payment_id, using)
        if reason is not None:
            return Skipped(reason)
        people = [person for person in people_for(event, settlement) if is_reachable(person)]
        if not people:
            return Skipped("nobody concerned has an e-mail address")
        unreachable = {person.pk: trouble for person in people if (trouble := _trouble_with(person.email))}
        for person in people:
            if person.pk not in unreachable:
                _ask_for_email(settlement, person.pk, event, payment_id, using)
    if unreachable:
        raise Discard("; ".join(f"user {pk} cannot be reached: {text}" for pk, text in unreachable.items()))
    return None


def _tell_one(settlement: Settlement, user_id: int | str, event: str, using: str) -> Skipped | None:
    verdict = look(Question(event, user_id=user_id, settlement_id=settlement.pk), using)
    if verdict.skip is not None:
        return Skipped(verdict.skip)
    # Told once for each change of the payer, however often it changes to and fro meanwhile.
    key = f"email:{settlement.pk}:{event}:{verdict.rows.person.pk}:{settlement.payer_term}"
    _ask_for_email(settlement, verdict.rows.person.pk, event, None, using, key)
    return None


def why_not_told(settlement: Settlement, event: str, payment_id: str | None, using: str) -> str | None:
    """Why the event is no news; the letter itself asks again as it leaves."""
    payment = Payment.objects.using(using).filter(pk=payment_id).first() if payment_id else None
    return why_not(
        event, Facts(settlement, settlement.standing_now(), payment=payment, payment_id=payment_id)
    )


def is_reachable(person: Any) -> bool:
    """Whether a letter to this person can be asked for."""
    return bool(person.email) and getattr(person, "is_active", True)


def _trouble_with(address: str) -> str | None:
    try:
        check_address(address)
    except InvalidEmailAddress as error:
        return str(error)
    return None


def event_by_status(settlement: Settlement) -> str:
    """The template type that tells of the status that the settlement has."""
    return {
        Settlement.Status.COMPLETED: "settlement_completed",
        Settlement.Status.CANCELLED: "settlement_cancelled",
    }.get(Settlement.Status(settlement.status), "settlement_updated")


def key_of_letter(job: Job, user_id: Any) -> str:
    """The unique key of the e-mail that this job asks for to that user."""
    return f"email:{job.pk}:{user_id}"


def _ask_for_email(
    settlement: Settlement,
    user_id: Any,
    event: str,
    payment_id: str | None,
    using: str,
    key: str | None = None,
) -> None:
    """Once for each notification job and person, however often that job runs: the settlement is locked."""
    job = current_job()
    if key is None and job is not None:
        key = key_of_letter(job, user_id)
    if key and Job.objects.using(using).about(settlement).filter(unique_key=key).exists():
        return
    add_letter_job(settlement, user_id, event, payment_id=payment_id, unique_key=key, using=using)


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
            return Skipped(f"settlement already {written_status(settlement)}")
        changed = plan_reminders(settlement, using=using)
        if not changed.created and not changed.cancelled:
            return Skipped("the reminder plan is complete")
    return None
