"""Settlements, payments and e-mails as the API shows them: addresses to who may read payloads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from moneyed import Money
from rest_framework import serializers
from rest_framework.request import Request

from jobqueue.api.shapes import Moment
from jobqueue.operating import carried_text, shown_address
from settlements.api.bodies import EMAIL_STATES, PAYMENT_STATES, SETTLEMENT_STATES
from settlements.models import EmailDelivery, Payment, Settlement
from settlements.money import places_of


class SettlementLine(serializers.Serializer[Any]):
    """Who owes whom how much until when."""

    id = serializers.UUIDField()
    description = serializers.CharField(allow_blank=True)
    payer = serializers.CharField(help_text="The user's name.")
    payer_id = serializers.CharField(help_text="As `/api/people/` takes it.")
    payee = serializers.CharField(help_text="The user's name.")
    payee_id = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(SETTLEMENT_STATES)
    due_date = Moment()
    reminders_paused = serializers.BooleanField()
    created_at = Moment()


class SettlementInFull(SettlementLine):
    """A settlement and how it stands."""

    paid = serializers.CharField()
    open_amount = serializers.CharField()


class PaymentLine(serializers.Serializer[Any]):
    """A transfer of money towards a settlement."""

    id = serializers.UUIDField()
    settlement = serializers.UUIDField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    refunded_amount = serializers.CharField()
    status = serializers.ChoiceField(PAYMENT_STATES)
    failure_reason = serializers.CharField(
        allow_blank=True, help_text="Why it failed, as the payer reads it; empty unless it is failed now."
    )
    created_at = Moment()


class EmailLine(serializers.Serializer[Any]):
    """An e-mail and what became of it."""

    id = serializers.IntegerField()
    template = serializers.CharField()
    subject = serializers.CharField(allow_blank=True)
    recipient = serializers.CharField(
        allow_blank=True, help_text="Most of it is hidden without `jobqueue.view_payload`."
    )
    about = serializers.CharField(allow_blank=True)
    job = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(EMAIL_STATES)
    uncertain = serializers.BooleanField(
        help_text="It is `sending`, but its job does not run: nobody knows whether the mail server took it."
    )
    tries = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    created_at = Moment()
    sent_at = Moment(allow_null=True)


# Rows ----------------------------------------------------------------------------------------------


def settlement_line(one: Settlement, request: Request) -> dict[str, Any]:
    """A settlement of a list."""
    return {
        "id": str(one.pk),
        "description": carried_text(one.description, request),
        "payer": carried_text(one.payer.get_username(), request),
        "payer_id": str(one.payer_id),
        "payee": carried_text(one.payee.get_username(), request),
        "payee_id": str(one.payee_id),
        "amount": _digits(one.amount.amount, one.amount),
        "currency": str(one.amount.currency),
        "status": one.status,
        "due_date": Moment().to_representation(one.due_date),
        "reminders_paused": one.reminders_paused,
        "created_at": Moment().to_representation(one.created_at),
    }


def payment_line(one: Payment, request: Request) -> dict[str, Any]:
    """A payment."""
    return {
        "id": str(one.pk),
        "settlement": str(one.settlement_id),
        "amount": _digits(one.amount.amount, one.amount),
        "currency": str(one.amount.currency),
        "refunded_amount": _digits(one.refunded_amount, one.amount),
        "status": one.status,
        "failure_reason": carried_text(one.failed_because, request),
        "created_at": Moment().to_representation(one.created_at),
    }


def _digits(number: Decimal, like: Money) -> str:
    """With as many digits as the currency has; with those of the row where there are more."""
    places = places_of(str(like.currency))
    rounded = round(number, places)
    return f"{rounded if rounded == number else number:f}"


def email_line(one: EmailDelivery, request: Request) -> dict[str, Any]:
    """An e-mail."""
    return {
        "id": one.pk,
        "template": carried_text(one.template_type, request),
        "subject": carried_text(one.subject, request),
        "recipient": shown_address(one.recipient, request),
        "about": carried_text(one.about, request),
        "job": one.job_id,
        "status": one.status,
        "uncertain": one.is_uncertain,
        "tries": one.tries,
        "error": carried_text(one.told_error, request),
        "created_at": Moment().to_representation(one.created_at),
        "sent_at": Moment().to_representation(one.sent_at),
    }


def settlement_in_full(one: Settlement, request: Request) -> dict[str, Any]:
    """One settlement, and how it stands."""
    standing = one.standing()
    return {
        **settlement_line(one, request),
        "paid": _digits(standing.paid, one.amount),
        "open_amount": _digits(standing.open_amount, one.amount),
    }
