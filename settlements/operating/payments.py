"""A payment that an operator adds: to a settlement that is there, in its currency, with who added it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import router, transaction
from django.http import HttpRequest
from moneyed import Money

from jobqueue.operating import in_english, log_addition
from settlements import first_status
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import Payment, Settlement
from settlements.templatetags.settlement_format import money


class NotAdded(Exception):
    """The payment cannot be added so: what is wrong with which of the things that were said."""

    def __init__(self, field: str, code: str, text: str) -> None:
        super().__init__(text)
        self.field, self.code = field, code


def add_payment(
    request: HttpRequest,
    *,
    settlement: Any,
    amount: Decimal,
    status: str,
    currency: str = "",
    reason: str = "",
) -> Payment:
    """Save a payment towards the settlement of this key, with its jobs, and write down who added it, and why.

    The settlement is locked: whoever deletes it waits, or was first, and then there is none. Without a
    currency it is that of the settlement. Raises NotAdded, and then nothing was saved.
    """
    if refusal := first_status.why_not(status, request.user):
        raise NotAdded("status", "status_not_allowed", refusal)
    with transaction.atomic(using=router.db_for_write(Payment)):
        owed = Settlement.objects.select_for_update(no_key=True).filter(pk=settlement).first()
        if owed is None:
            raise NotAdded("settlement", "no_settlement", f"There is no settlement {settlement}.")
        payment = Payment(settlement=owed, amount=Money(amount, _currency(owed, currency)), status=status)
        try:
            payment.save()
        except (InvalidAmount, InvalidRefund) as error:
            text = f"{str(error)[:1].upper()}{str(error)[1:]}."
            raise NotAdded("amount", "invalid_amount", text) from None
        with in_english():
            message = f"Added with {money(payment.amount)}, {payment.get_status_display()}."
            if reason.strip():
                message = f"{message} Reason: {reason.strip()}"
            log_addition(request, payment, message)
    return payment


def _currency(owed: Settlement, currency: str) -> str:
    """That of the settlement, which alone counts."""
    known = str(owed.amount.currency)
    if currency in ("", known):
        return known
    text = f"The settlement is in {known}: a payment in another currency would count nothing."
    raise NotAdded("currency", "other_currency", text)
