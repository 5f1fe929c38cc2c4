"""What may become of a payment: processing, completed, failed, refunded, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django_fsm import TransitionNotAllowed, can_proceed

from settlements.admin.moves import Answer, LeftAlone, Move
from settlements.models import Payment
from settlements.templatetags.settlement_format import money

Verb = Callable[[Payment, Answer], None]


def _words(payment: Payment) -> str:
    status = str(payment.get_status_display())
    return f"{status}, {money(payment.refunded)} refunded" if payment.is_refunded_in_part else status


def _carry_out(verb: Verb, payment: Payment, answer: Answer) -> str:
    before = _words(payment)
    try:
        verb(payment, answer)
    except TransitionNotAllowed:
        raise LeftAlone(f"{payment} ({before})") from None
    payment.save()
    return f"{before} → {_words(payment)}"


def _trouble(transition: str, payment: Payment) -> str:
    return "" if can_proceed(getattr(payment, transition)) else _words(payment)


def _trouble_to_take_back(payment: Payment) -> str:
    return "" if payment.is_refunded_in_part else _trouble("take_refund_back", payment)


def _payment_move(name: str, label: str, done: str, notice: str, verb: Verb, **more: Any) -> Move:
    values: dict[str, Any] = {"trouble": partial(_trouble, name)} | more
    return Move(name, label, done, "decide", notice, carry_out=partial(_carry_out, verb), **values)


MOVES: Final = (
    _payment_move(
        "start",
        "Mark processing",
        "marked as processing",
        "The provider works on it. Nobody is told; the provider is asked about it after a while.",
        lambda payment, answer: payment.start(),
    ),
    _payment_move(
        "complete",
        "Complete",
        "completed",
        "The money arrived. The letters say so, and the settlement follows its payments.",
        lambda payment, answer: payment.complete(),
    ),
    _payment_move(
        "fail",
        "Fail",
        "marked as failed",
        "The money did not arrive. Its reason is shown with it, and the settlement follows its payments.",
        lambda payment, answer: payment.fail(answer.reason),
        is_dangerous=True,
    ),
    _payment_move(
        "refund",
        "Refund",
        "refunded",
        "This notes that money went back; it moves none. A part leaves the payment completed.",
        lambda payment, answer: payment.give_back(answer.amount),
        takes_amount=True,
        is_dangerous=True,
    ),
    _payment_move(
        "take_refund_back",
        "Take refund back",
        "taken back from being refunded",
        "Nothing of the payment went back after all: all of it counts again.",
        lambda payment, answer: payment.take_back(),
        trouble=_trouble_to_take_back,
    ),
)
