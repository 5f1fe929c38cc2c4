"""What may become of a payment: processing, completed, failed, refunded, and back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django_fsm import TransitionNotAllowed, can_proceed
from moneyed import Money

from settlements.admin.moves import Answer, LeftAlone, Move
from settlements.exceptions import InvalidRefund
from settlements.models import Payment
from settlements.money import check_amount
from settlements.templatetags.settlement_format import money

LONGEST_FAILURE_REASON: Final = 200


def _words(payment: Payment) -> str:
    status = str(payment.get_status_display())
    is_part = payment.refunded_amount and payment.status == Payment.Status.COMPLETED
    return f"{status}, {money(payment.refunded)} refunded" if is_part else status


def _move(verb: Callable[[Payment], None], payment: Payment, answer: Answer) -> str:
    before = _words(payment)
    try:
        verb(payment)
    except TransitionNotAllowed:
        raise LeftAlone(f"{payment} ({before})") from None
    payment.save()
    return f"{before} → {_words(payment)}"


def _fail(payment: Payment, answer: Answer) -> str:
    payment.failure_reason = answer.reason[:LONGEST_FAILURE_REASON]
    return _move(Payment.fail, payment, answer)


def _refund(payment: Payment, answer: Answer) -> str:
    """A part adds to what was refunded; all that is left makes it refunded."""
    left = payment.amount.amount - payment.refunded_amount
    if answer.amount is None or answer.amount == left:
        return _move(Payment.refund, payment, answer)
    currency = payment.amount.currency
    check_amount(Money(answer.amount, currency), "the amount that goes back", zero_allowed=False)
    if answer.amount > left:
        raise InvalidRefund(
            f"at most {money(left, currency)} of it are left to go back, not {money(answer.amount, currency)}"
        )
    before = _words(payment)
    payment.refunded_amount += answer.amount
    payment.save()
    return f"{before} → {_words(payment)}"


def _take_refund_back(payment: Payment, answer: Answer) -> str:
    if payment.status == Payment.Status.REFUNDED:
        return _move(Payment.take_refund_back, payment, answer)
    before = _words(payment)
    payment.refunded_amount = Decimal(0)
    payment.save()
    return f"{before} → {_words(payment)}"


def _trouble(verb: str, payment: Payment) -> str:
    return "" if can_proceed(getattr(payment, verb)) else _words(payment)


def _trouble_to_take_back(payment: Payment) -> str:
    is_part = payment.status == Payment.Status.COMPLETED and payment.refunded_amount
    return "" if is_part else _trouble("take_refund_back", payment)


def _payment_move(name: str, label: str, done: str, notice: str, carry_out: Any, **more: Any) -> Move:
    values: dict[str, Any] = {"trouble": partial(_trouble, name)} | more
    return Move(name, label, done, "decide", notice, carry_out=carry_out, **values)


MOVES: Final = (
    _payment_move(
        "start",
        "Mark processing",
        "marked as processing",
        "The provider works on it. Nobody is told; the provider is asked about it after a while.",
        partial(_move, Payment.start),
    ),
    _payment_move(
        "complete",
        "Complete",
        "completed",
        "The money arrived. The letters say so, and the settlement follows its payments.",
        partial(_move, Payment.complete),
    ),
    _payment_move(
        "fail",
        "Fail",
        "marked as failed",
        "The money did not arrive. Its reason is shown with it, and the settlement follows its payments.",
        _fail,
        is_dangerous=True,
    ),
    _payment_move(
        "refund",
        "Refund",
        "refunded",
        "This notes that money went back; it moves none. A part leaves the payment completed.",
        _refund,
        takes_amount=True,
        is_dangerous=True,
    ),
    _payment_move(
        "take_refund_back",
        "Take refund back",
        "taken back from being refunded",
        "Nothing of the payment went back after all: all of it counts again.",
        _take_refund_back,
        trouble=_trouble_to_take_back,
    ),
)
