"""The one read of the rows that a letter speaks of: settlement, people, payment, sum, earlier letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Value

from jobqueue.models import subject_of
from settlements.letters import OF_REFUNDS, REMINDER_LETTERS, STAGES, TAKEN_BACK, Reminder
from settlements.models import (
    BarredAddress,
    EmailDelivery,
    IsBarred,
    MovedReminder,
    PaidByPayments,
    Payment,
    ReminderDelivery,
    ReminderType,
    Settlement,
)
from settlements.standing import Standing

Row = TypeVar("Row", bound=Model)

NEWEST_FIRST: Final = (F("sent_at").desc(nulls_first=True), "-id")
"""Letters as people got them, before these what is with the mail server."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database says at this moment; what is gone is None."""

    settlement: Settlement | None = None
    standing: Standing | None = None
    payment: Payment | None = None
    person: Any = None
    is_barred: bool = False
    later_reminder: bool = False
    was_written_to: bool = False
    has_moves: bool = False
    """Whether an operator moved a reminder of the settlement."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a letter speaks of. `asked_at` is when it was decided on."""

    template_type: str
    user_id: Any = None
    settlement_id: Any = None
    payment_id: Any = None
    address: str = ""
    reminder: Reminder | None = None
    asked_at: datetime | None = None
    job_id: int | None = None
    """The job of the e-mail; None while it is only decided on."""


def read(question: Question, using: str) -> Rows:
    """The rows of a letter, with one statement unless it goes to somebody who is neither payer nor payee."""
    payment = settlement = None
    if question.payment_id is not None:
        payment = _find(_annotated(_payments(using), question, "settlement__"), question.payment_id)
        settlement = payment.settlement if payment is not None else None
    elif question.settlement_id is not None:
        settlement = _find(_annotated(_settlements(using), question, ""), question.settlement_id)
    annotated: Any = payment if payment is not None else settlement
    person = _person(settlement, question.user_id, using)
    return Rows(
        settlement=settlement,
        standing=settlement.standing_now(annotated.counted) if settlement is not None else None,
        payment=payment,
        person=person,
        is_barred=_is_barred(annotated, settlement, person, question, using),
        later_reminder=bool(getattr(annotated, "later_reminder", False)),
        has_moves=bool(getattr(annotated, "has_moves", False)),
        was_written_to=_was_written_to(settlement, person, question, using),
    )


@lru_cache(maxsize=16)
def _payments(using: str) -> Any:
    # Made once, not for each e-mail, of whose time that saves 0.1 ms (2.5 %); every use filters a copy of it.
    rows = Payment.objects.using(using).select_related("settlement__payer", "settlement__payee")
    return rows.annotate(counted=PaidByPayments("settlement_id", "settlement__amount_currency")).order_by()


@lru_cache(maxsize=16)
def _settlements(using: str) -> Any:
    rows = Settlement.objects.using(using).select_related("payer", "payee")
    return rows.annotate(counted=PaidByPayments()).order_by()


def _annotated(rows: Any, question: Question, prefix: str) -> Any:
    if question.address:
        rows = rows.annotate(barred=IsBarred(Value(question.address.lower())))
    else:
        rows = rows.annotate(
            payer_barred=IsBarred(F(f"{prefix}payer__email")),
            payee_barred=IsBarred(F(f"{prefix}payee__email")),
        )
    if question.template_type in REMINDER_LETTERS:
        moves = MovedReminder.objects.filter(settlement=OuterRef("settlement_id" if prefix else "pk"))
        rows = rows.annotate(
            later_reminder=Exists(_later_reminders(question, prefix)), has_moves=Exists(moves.order_by())
        )
    return rows


def _later_reminders(question: Question, prefix: str) -> QuerySet[ReminderDelivery]:
    """Reminders of the same debt to the same payer that are further on, delivered or on their way.

    For one that somebody asked for, only those that were decided on after it. The same reminder counts where
    another e-mail carries it: somebody asked for it again after this e-mail had failed.
    """
    reminder, (reminder_type, step) = question.reminder, _stage(question)
    counts = Q(reminder_type__in=STAGES[STAGES.index(reminder_type) + 1 :])
    if reminder is not None:
        counts |= Q(reminder_type=reminder_type, step__gt=step)
    if question.asked_at is not None and (reminder is None or reminder.planned_at is None):
        counts &= Q(created_at__gt=question.asked_at)
    if reminder is not None and question.job_id is not None:
        counts |= Q(reminder_type=reminder_type, step=step) & ~Q(email_job=question.job_id)
    rows = ReminderDelivery.objects.filter(
        counts,
        settlement=OuterRef("settlement_id" if prefix else "pk"),
        due_date=OuterRef(f"{prefix}due_date"),
        payer_term=OuterRef(f"{prefix}payer_term"),
    )
    return rows.exclude(status=ReminderDelivery.Status.NOT_DELIVERED).order_by()


def _stage(question: Question) -> tuple[ReminderType, int]:
    if question.reminder is not None:
        return ReminderType(question.reminder.reminder_type), question.reminder.step
    name = question.template_type.removeprefix("reminder_")
    return (ReminderType(name) if name in ReminderType.values else ReminderType.INITIAL), 0


def _person(settlement: Settlement | None, user_id: Any, using: str) -> Any:
    """The user of that primary key, who is nearly always one of the settlement's two."""
    key = _key(user_id)
    if key is None:
        return None
    for user in (settlement.payer, settlement.payee) if settlement is not None else ():
        if user.pk == key:
            return user
    return _find(get_user_model()._default_manager.using(using), key)


def _key(user_id: Any) -> Any:
    """A primary key as the model has it: JSON and callers may give text for a number."""
    try:
        return None if user_id is None else get_user_model()._meta.pk.to_python(user_id)
    except (ValidationError, ValueError, TypeError):
        return None


def _find(rows: QuerySet[Row], key: Any) -> Row | None:
    """The row with that primary key; None if it is gone, or if the key is none at all."""
    try:
        return next(iter(rows.filter(pk=key).order_by()), None)
    except (ValueError, TypeError, OverflowError, ValidationError):
        return None


def lock_settlement_of(question: Question, using: str) -> None:
    """Lock the settlement of a letter until the transaction ends, when nobody else has."""
    settlements = Settlement.objects.using(using).select_for_update(of=("self",), no_key=True)
    if question.payment_id is not None:
        payment = _find(Payment.objects.using(using).only("settlement_id"), question.payment_id)
        key = payment.settlement_id if payment is not None else None
    else:
        key = question.settlement_id
    if key is not None:
        _find(settlements.only("pk"), key)


def is_key_of(row: Model, key: Any) -> bool:
    """Whether a primary key, perhaps as text, is this row's."""
    try:
        return bool(row._meta.pk is not None and row._meta.pk.to_python(key) == row.pk)
    except ValidationError:
        return False


def _is_barred(
    annotated: Any, settlement: Settlement | None, person: Any, question: Question, using: str
) -> bool:
    if annotated is not None and question.address:
        return bool(annotated.barred)
    if annotated is not None and settlement is not None and person is not None:
        for role in ("payer", "payee"):
            if person.pk == getattr(settlement, f"{role}_id"):
                # SQLite knows the small letters of ASCII alone.
                return bool(getattr(annotated, f"{role}_barred")) or _is_barred_abroad(person.email, using)
    address = question.address or (person.email if person is not None else "")
    return is_barred(address, using)


def _is_barred_abroad(address: str, using: str) -> bool:
    return not address.isascii() and is_barred(address, using)


def is_barred(address: str, using: str) -> bool:
    """Whether nothing is sent to this address."""
    return bool(address) and BarredAddress.objects.using(using).barred().among(address).exists()


def email_of(person: Any) -> str:
    """The address of a user, whatever its model calls it."""
    return str(getattr(person, person.get_email_field_name(), "") or "")


def letters_to(person: Any) -> Q:
    """The e-mails that went to a person: also those that a caller addressed without saying to which user."""
    address, of_user = email_of(person), Q(user=person.pk)
    return of_user | Q(user__isnull=True, recipient__iexact=address) if address else of_user


def _was_written_to(settlement: Settlement | None, person: Any, question: Question, using: str) -> bool:
    """Whether what this letter takes back was told: the debt of a former payer, or a refund."""
    if settlement is None or person is None:
        return False
    if question.template_type == TAKEN_BACK:
        return _was_told_of_refund(settlement, person, question, using)
    if question.template_type != "settlement_released":
        return False
    about = f"{Settlement._meta.label_lower}:{settlement.pk}"
    letters = EmailDelivery.objects.using(using).filter(
        letters_to(person),
        about=about,
        status__in=[*EmailDelivery.TAKEN, EmailDelivery.Status.SENDING],
    )
    # Who was told so already was told of the letters before that.
    latest = letters.exclude(job=question.job_id) if question.job_id is not None else letters
    template_type = latest.order_by("-id").values_list("template_type", flat=True).first()
    return template_type not in (None, "settlement_released")


def _was_told_of_refund(settlement: Settlement, person: Any, question: Question, using: str) -> bool:
    """Whether the last letter about refunds of the payment told the person that money went back.

    One whose job was pruned may have been about any payment of the settlement: better told twice than never.
    """
    letters = letters_about(settlement, person, using).filter(template_type__in=OF_REFUNDS)
    if question.job_id is not None:
        letters = letters.exclude(job=question.job_id)
    named = letters.filter(Q(job__isnull=True) | of_payment(question.payment_id))
    last = named.order_by(*NEWEST_FIRST).values_list("template_type", flat=True).first()
    return last not in (None, TAKEN_BACK)


def letters_about(settlement: Settlement, person: Any, using: str) -> QuerySet[EmailDelivery]:
    """The letters about the settlement that reached the person, or are with the mail server."""
    status = EmailDelivery.Status
    return EmailDelivery.objects.using(using).filter(
        about=subject_of(settlement),
        user=person.pk,
        status__in=[status.SENT, status.COMPLAINED, status.SENDING],
    )


def of_payment(payment_id: Any) -> Q:
    """The letters that name the payment, which their jobs know."""
    return Q(job__payload__template_data__payment_id=str(payment_id))
