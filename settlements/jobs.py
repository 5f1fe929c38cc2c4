"""The three kinds of jobs of the domain, for any code to add: e-mails, reminders, settlement processing.

All take `run_at` (an aware datetime) or `delay` (a timedelta or seconds), are written in the caller's
transaction and return the Job. Wrong arguments raise a named error here, never later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models, router
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobqueue.exceptions import InvalidPayload
from jobqueue.jobs import current_database, enqueue
from jobqueue.models import Job, subject_of
from settlements import emails
from settlements.exceptions import (
    InvalidDueDate,
    InvalidEmailSubject,
    InvalidReminderStep,
    PaymentNotFound,
    SettlementNotFound,
    UnknownProcessType,
    UnknownReminderType,
    UserNotFound,
)
from settlements.models import ReminderType, Settlement

PROCESS_TYPES = ("auto_complete", "payment_status_check", "settlement_notification", "periodic_reminder")
_LONGEST_SUBJECT = 250
_HIGHEST_STEP = 2**31 - 1


def add_email_notification_job(
    user_id: int | str | None,
    email: str,
    subject: str,
    template_type: str,
    template_data: dict[str, Any],
    *,
    run_at: datetime | None = None,
    delay: timedelta | float | None = None,
    unique_key: str | None = None,
    using: str | None = None,
) -> Job:
    """Add the e-mail `template_type` to `email`; an empty `subject` leaves it to the template.

    `template_data` is plain JSON; with a `settlement_id` or `payment_id` in it the rest is looked up when the
    e-mail is rendered, and wins over any amount, date or name given. The e-mail goes to the given address,
    but not if it is barred, if the user is inactive, or if it is not true any more (docs/letters.md). Raises
    UnknownTemplateType, InvalidEmailAddress, or an InvalidJob error of the job queue.
    """
    emails.check_template_type(template_type)
    emails.check_address(email)
    _check_email_subject(subject)
    _check_template_data(template_data)
    return enqueue(
        "email.notification",
        run_at=run_at,
        delay=delay,
        unique_key=unique_key,
        subject=_subject_of_email(user_id, template_data),
        using=using,
        user_id=_plain_id(user_id),
        email=email,
        email_subject=subject,
        template_type=template_type,
        template_data=template_data,
    )


def add_letter_job(
    settlement: Settlement,
    user_id: Any,
    template_type: str,
    *,
    payment_id: UUID | str | None = None,
    reminder: dict[str, Any] | None = None,
    unique_key: str | None = None,
    using: str,
) -> Job:
    """Add a letter that the system decided on: ids alone, for what it says is looked up as it leaves."""
    data = {
        "settlement_id": str(settlement.pk),
        "payment_id": None if payment_id is None else str(payment_id),
    }
    return enqueue(
        "email.notification",
        unique_key=unique_key,
        subject=settlement,
        using=using,
        user_id=_plain_id(user_id),
        template_type=template_type,
        template_data=_without_none(data),
        **_without_none({"reminder": reminder}),
    )


def add_settlement_reminder_job(
    settlement_id: UUID | str,
    user_id: int | str,
    due_date: datetime | str,
    reminder_type: str,
    *,
    step: int = 0,
    run_at: datetime | None = None,
    delay: timedelta | float | None = None,
    using: str | None = None,
) -> Job:
    """Add one reminder of a settlement to a user, valid for this due date only.

    Of each (type, step, due date) at most one goes out. Raises UnknownReminderType, SettlementNotFound,
    UserNotFound, InvalidDueDate, InvalidReminderStep, or an InvalidJob error of the job queue.
    """
    _check_reminder(reminder_type, step)
    using = using or _default_using()
    settlement = _settlement(settlement_id, using)
    user_key = _user_key(user_id, using)
    return enqueue(
        "reminders.send",
        run_at=run_at,
        delay=delay,
        subject=settlement,
        using=using,
        settlement_id=str(settlement.pk),
        user_id=_plain_id(user_key),
        due_date=_due_date_text(due_date),
        reminder_type=str(reminder_type),
        step=step,
    )


def add_settlement_processing_job(
    settlement_id: UUID | str | Settlement,
    process_type: str,
    *,
    event: str | None = None,
    payment_id: UUID | str | None = None,
    user_id: int | str | None = None,
    reopen: bool | None = None,
    run_at: datetime | None = None,
    delay: timedelta | float | None = None,
    unique_key: str | None = None,
    using: str | None = None,
) -> Job:
    """Add one step of processing a settlement, given by its id, or as a row that is known to be there.

    `event` and `payment_id` belong to `settlement_notification`: what the e-mails are about (a template type;
    by default what the settlement's status says), `user_id` if it is for one person alone. `payment_id` also
    belongs to `payment_status_check`: the payment to ask about, by default every unsettled one.
    `reopen=False` belongs to `auto_complete`: a completed settlement stays so though its payments do not
    cover it. Raises UnknownProcessType, SettlementNotFound, UnknownTemplateType, or an InvalidJob error of
    the job queue.
    """
    _check_process_type(process_type)
    using = using or _default_using()
    settlement = _settlement(settlement_id, using)
    payload = _processing_payload(settlement, event, payment_id, user_id, reopen)
    return enqueue(
        f"settlement.{process_type}",
        run_at=run_at,
        delay=delay,
        unique_key=unique_key,
        subject=settlement,
        using=using,
        **payload,
    )


# Checks -------------------------------------------------------------------------------------------


def _check_email_subject(subject: str) -> None:
    if not isinstance(subject, str) or len(subject) > _LONGEST_SUBJECT:
        raise InvalidEmailSubject(
            f"the e-mail's subject must be text of at most {_LONGEST_SUBJECT} characters"
        )


def _check_template_data(template_data: dict[str, Any]) -> None:
    if not isinstance(template_data, dict):
        raise InvalidPayload(
            f"template_data must be a dict, {{}} if there is none, not {type(template_data).__name__}"
        )


def _check_reminder(reminder_type: str, step: int) -> None:
    if reminder_type not in ReminderType.values:
        raise UnknownReminderType(
            f"there is no reminder type {reminder_type!r}; allowed are: {', '.join(ReminderType.values)}"
        )
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= _HIGHEST_STEP:
        raise InvalidReminderStep(f"step must be a whole number from 0 to {_HIGHEST_STEP}, not {step!r:.60}")


def _check_process_type(process_type: str) -> None:
    if process_type not in PROCESS_TYPES:
        raise UnknownProcessType(
            f"there is no process type {process_type!r}; allowed are: {', '.join(PROCESS_TYPES)}"
        )


# What a payload carries ---------------------------------------------------------------------------


def _processing_payload(
    settlement: Settlement,
    event: str | None,
    payment_id: UUID | str | None,
    user_id: int | str | None,
    reopen: bool | None,
) -> dict[str, Any]:
    return _without_none(
        {
            "settlement_id": str(settlement.pk),
            "event": None if event is None else emails.check_template_type(event),
            "payment_id": None if payment_id is None else _payment_key(payment_id),
            "user_id": _plain_id(user_id),
            "reopen": reopen,
        }
    )


def _without_none(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if value is not None}


def _default_using() -> str:
    return current_database() or router.db_for_write(Settlement)


def _settlement(settlement_id: UUID | str | Settlement, using: str) -> Settlement:
    if isinstance(settlement_id, Settlement):
        return settlement_id
    try:
        return Settlement.objects.using(using).only("pk").get(pk=settlement_id)
    except (Settlement.DoesNotExist, ValidationError, ValueError, TypeError):
        raise SettlementNotFound(f"there is no settlement with the id {settlement_id!r:.60}") from None


def _user_key(user_id: int | str, using: str) -> Any:
    try:
        return get_user_model()._default_manager.using(using).values_list("pk", flat=True).get(pk=user_id)
    except (get_user_model().DoesNotExist, ValidationError, ValueError, TypeError):
        raise UserNotFound(
            f"there is no user with the id {user_id!r:.60}; pass the primary key of a user"
        ) from None


def _payment_key(payment_id: UUID | str) -> str:
    try:
        return str(payment_id if isinstance(payment_id, UUID) else UUID(payment_id))
    except (ValueError, TypeError, AttributeError):
        raise PaymentNotFound(f"no payment has the id {payment_id!r:.60}; it must be a UUID") from None


def _due_date_text(due_date: datetime | str) -> str:
    try:
        moment = parse_datetime(due_date) if isinstance(due_date, str) else due_date
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or timezone.is_naive(moment):
        raise InvalidDueDate(
            f"due_date must be an aware datetime, or one in ISO format, not {due_date!r:.60}"
        )
    return moment.isoformat()


def _plain_id(identifier: Any) -> Any:
    """A primary key as JSON carries it."""
    return identifier if identifier is None or isinstance(identifier, int | str) else str(identifier)


def _subject_of_email(user_id: int | str | None, template_data: dict[str, Any]) -> str | models.Model | None:
    if template_data.get("settlement_id"):
        return f"{Settlement._meta.label_lower}:{template_data['settlement_id']}"[:200]
    if user_id is None:
        return None
    return subject_of(get_user_model()(pk=user_id))
