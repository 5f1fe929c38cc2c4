"""What may become of a payment: processing, completed, failed, refunded, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_fsm import TransitionNotAllowed, can_proceed

from jobqueue.operating import in_english
from settlements.models import Payment
from settlements.operating.moves import Answer, LeftAlone, Move, named
from settlements.templatetags.settlement_format import money

Verb = Callable[[Payment, Answer], None]


def _words(payment: Payment) -> str:
    status = str(payment.get_status_display())
    if payment.failed_because:
        # The history finds the operator's reason by this word, which providers may use as well.
        why = payment.failed_because.replace("Reason: ", "reason: ")
        return gettext("%(status)s, because “%(why)s”") % {"status": status, "why": why}
    if not payment.is_refunded_in_part:
        return status
    words = {"status": status, "amount": money(payment.refunded)}
    return gettext("%(status)s, %(amount)s refunded") % words


def _carry_out(verb: Verb, payment: Payment, answer: Answer) -> str:
    with in_english():
        before = _words(payment)
    try:
        verb(payment, answer)
    except TransitionNotAllowed:
        raise LeftAlone(named(payment, _words(payment))) from None
    payment.save()
    with in_english():
        return f"{before} → {_words(payment)}"


def _fail(payment: Payment, answer: Answer) -> None:
    """Fail it for what the payer is to read: neither the operator's reason nor one of an earlier failure."""
    payment.failure_reason = ""
    payment.fail(answer.failure_reason)


def _trouble(transition: str, payment: Payment) -> str:
    return "" if can_proceed(getattr(payment, transition)) else _words(payment)


def _trouble_to_take_back(payment: Payment) -> str:
    return "" if payment.is_refunded_in_part else _trouble("take_refund_back", payment)


def _payment_move(name: str, label: Promise, done: Promise, notice: Promise, verb: Verb, **more: Any) -> Move:
    permission = more.pop("permission", name)
    values: dict[str, Any] = {"trouble": partial(_trouble, name)} | more
    return Move(name, label, done, permission, notice, carry_out=partial(_carry_out, verb), **values)


MOVES: Final = (
    _payment_move(
        "start",
        _("Mark processing"),
        _("marked as processing"),
        _("The provider works on it. Nobody is told; the provider is asked about it after a while."),
        lambda payment, answer: payment.start(),
    ),
    _payment_move(
        "complete",
        _("Complete"),
        _("completed"),
        _("The money arrived. Letters say so, unless it is history; the settlement follows its payments."),
        lambda payment, answer: payment.complete(),
    ),
    _payment_move(
        "fail",
        _("Fail"),
        _("marked as failed"),
        _("The money did not arrive. The payer is told, unless it is history; the settlement follows."),
        _fail,
        tells_payer=True,
        is_dangerous=True,
    ),
    _payment_move(
        "refund",
        _("Refund"),
        _("refunded"),
        _("This notes that money went back; it moves none. A part leaves the payment completed."),
        lambda payment, answer: payment.give_back(answer.amount),
        takes_amount=True,
        is_dangerous=True,
    ),
    _payment_move(
        "take_refund_back",
        _("Take refund back"),
        _("taken back from being refunded"),
        _(
            "Nothing of the payment went back after all: all of it counts again. Who had a letter about the "
            "refund is told."
        ),
        lambda payment, answer: payment.take_back(),
        permission="take_back",
        trouble=_trouble_to_take_back,
    ),
)
