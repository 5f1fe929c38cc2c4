"""What is asked of settlements, payments and e-mails: parameters of lists, reasons, and a new payment."""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import Http404
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobqueue.api.bodies import Choice, Strict, Text
from jobqueue.api.paging import PageQuery
from settlements import first_status
from settlements.emails import TEMPLATE_TYPES
from settlements.models import LONGEST_FAILURE_REASON, EmailDelivery, Payment, Settlement
from settlements.money import MAX_DIGITS, STORED_PLACES
from settlements.operating.moves import LONGEST_REASON

SETTLEMENT_STATES = list(Settlement.Status.values)
PAYMENT_STATES = list(Payment.Status.values)
FIRST_STATES = first_status.reachable()
EMAIL_STATES = list(EmailDelivery.Status.values)
LONGEST_USER_KEY = 40
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Key(serializers.UUIDField):
    """The id of a row, as a text: a number could be written as one as well, and means none."""

    default_error_messages = {"invalid": "It is no id such as 8c35b295-e77d-48c9-bb1f-8d5bec57f5c6."}

    def to_internal_value(self, data: Any) -> uuid.UUID:
        """The id."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "maxLength": LONGEST_USER_KEY})
class UserKey(serializers.Field[Any, Any, Any, Any]):
    """The key of a user, whatever the users of the site have for one."""

    default_error_messages = {"invalid": "It is no key of a user."}

    def to_internal_value(self, data: Any) -> Any:
        """The key as the column has it."""
        column = get_user_model()._meta.pk
        try:
            if len(data) > LONGEST_USER_KEY or "\x00" in data:
                raise ValidationError("")
            return column.clean(column.to_python(data), None)
        except ValidationError:
            self.fail("invalid")


class SettlementsQuery(PageQuery):
    """Which settlements."""

    status = Choice(SETTLEMENT_STATES, required=False)


class PaymentsQuery(PageQuery):
    """Which payments."""

    status = Choice(PAYMENT_STATES, required=False)
    settlement = Key(required=False)


class EmailsQuery(PageQuery):
    """Which e-mails."""

    status = Choice(EMAIL_STATES, required=False)
    template = Choice(list(TEMPLATE_TYPES), required=False)
    about = serializers.CharField(required=False, max_length=200, help_text="settlements.settlement:<id>")
    user = UserKey(required=False, help_text="To whom: the key of the user, as `/api/people/` takes it.")


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,3})?$", "examples": ["84.50"]})
class Amount(serializers.DecimalField):
    """An amount as a text, so that no digit of it is lost."""

    default_error_messages = {
        "not_a_text": 'Give the amount as a text, such as "84.50".',
        "invalid": 'Give the amount in digits, such as "84.50".',
    }

    def to_internal_value(self, data: Any) -> Decimal:
        """The amount."""
        if not isinstance(data, str):
            self.fail("not_a_text")
        if not _AMOUNT.fullmatch(data):
            self.fail("invalid")
        return super().to_internal_value(data)


GIVEN_WHY: Final[dict[str, Any]] = dict.fromkeys(
    ("required", "blank", "null"), "Say why: the reason is kept with the record."
)


class GivenReason(Strict):
    """Why something is done: it is required."""

    reason = Text(
        max_length=LONGEST_REASON,
        help_text="Stands in the history of the record.",
        error_messages=GIVEN_WHY,
    )


class PartAndReason(GivenReason):
    """Why, and how much."""

    amount = Amount(
        max_digits=MAX_DIGITS,
        decimal_places=STORED_PLACES,
        required=False,
        help_text="How much of it, in its currency; without it all that is left.",
    )


class FailureAndReason(GivenReason):
    """Why, and what the payer reads of it."""

    failure_reason = Text(
        max_length=LONGEST_FAILURE_REASON,
        required=False,
        allow_blank=True,
        help_text="What the payer reads in the letter, and what is shown with the payment; without it the "
        "letter names no reason. `reason` is for the history alone.",
    )


_SEEN: Final[dict[str, Any]] = {
    "required": False,
    "help_text": "`status` as it was read: if it is another by now, nothing is done"
    " (409, `changed_meanwhile`).",
}


class SettlementMove(GivenReason):
    """Why something is done to a settlement, and how it stood when that was decided."""

    seen = Choice(SETTLEMENT_STATES, **_SEEN)


class PaymentMove(GivenReason):
    """Why something is done to a payment, and how it stood when that was decided."""

    seen = Choice(PAYMENT_STATES, **_SEEN)


class PaymentPart(PartAndReason, PaymentMove):
    """The same of a part of its money."""


class PaymentFailure(FailureAndReason, PaymentMove):
    """The same with what the payer reads."""


class NewPayment(Strict):
    """A payment towards a settlement."""

    settlement = Key()
    amount = Amount(max_digits=MAX_DIGITS, decimal_places=STORED_PLACES)
    currency = Text(required=False, max_length=3, help_text="That of the settlement, if it is left out.")
    status = serializers.ChoiceField(
        FIRST_STATES,
        required=False,
        default=first_status.BEGINNING,
        help_text=" ".join(
            f"{status.capitalize()} takes {permission}."
            for status, permission in first_status.TAKES.items()
            if status in FIRST_STATES
        ),
        error_messages={
            "invalid_choice": f"“{{input}}” is no first status of a payment: {', '.join(FIRST_STATES)}."
        },
    )
    reason = Text(
        required=False,
        allow_blank=True,
        max_length=LONGEST_REASON,
        help_text="Stands in the history of the payment.",
    )


def key_of(text: str) -> uuid.UUID:
    """The key of a row in an address; Http404 for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Http404 from None
