"""The words of letters about payments and news: too much, back, failed, changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import translation
from moneyed import Money

from tests.settlements.letter_text_steps import every_reminder, every_role
from tests.settlements.letters import (
    CANCELLED,
    COMPLETED,
    OVERPAID,
    PART_PAID,
    PART_REFUNDED,
    UNPAID,
    folded,
    letter,
)

# Paid too much --------------------------------------------------------------------------------------


@pytest.mark.parametrize("template_type", ["payment_received", "settlement_completed"])
@every_role
def test_what_was_paid_too_much_is_named(template_type: str, role: str | None) -> None:
    told = letter(template_type, OVERPAID, recipient_role=role)
    sentence = "Nothing is left to pay. Altogether, €5.00 more than was owed has been paid."
    assert sentence in told.text and sentence in told.html


@pytest.mark.parametrize("template_type", ["payment_received", "settlement_completed"])
@pytest.mark.parametrize("nothing", [None, Money(0, "EUR"), "0.00", 0], ids=repr)
def test_nothing_paid_too_much_is_not_mentioned(template_type: str, nothing: Any) -> None:
    assert "more than was owed" not in letter(template_type, COMPLETED, overpaid=nothing).everything


@every_role
def test_payment_for_a_cancelled_settlement_was_not_more_than_owed(role: str | None) -> None:
    told = letter("payment_received", CANCELLED, recipient_role=role)
    assert "for “Dinner”" in told.text
    assert "more than was owed" not in told.everything


def test_cancellation_names_what_had_been_paid() -> None:
    assert "was cancelled. You no longer owe Emil Payee anything for it. €30.00 was paid for it." in (
        letter("settlement_cancelled", CANCELLED).text
    )


# Refunds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "refunded", "sentence"),
    [
        ("payer", "30.00", "Your payment of €30.00 to Emil Payee for “Dinner” was refunded."),
        ("payer", "10.00", "€10.00 of your payment of €30.00 to Emil Payee for “Dinner” was refunded."),
        ("payer", None, "Your payment of €30.00 to Emil Payee for “Dinner” was refunded."),
        ("payee", "30.00", "A payment of €30.00 from Pia Payer for “Dinner” was refunded."),
        ("payee", "10.00", "€10.00 of a payment of €30.00 from Pia Payer for “Dinner” was refunded."),
        (None, "10.00", "€10.00 of a payment of €30.00 from Pia Payer for “Dinner” was refunded."),
    ],
)
def test_a_refund_names_what_went_back(role: str | None, refunded: str | None, sentence: str) -> None:
    amount = None if refunded is None else Money(refunded, "EUR")
    told = letter("payment_refunded", PART_PAID, refunded_amount=amount, recipient_role=role)
    assert f"Hello Pia Payer, {sentence}" in told.text


@pytest.mark.parametrize(
    ("refunded", "subject", "heading", "figure"),
    [
        ("30.00", "Payment refunded: €30.00 for Dinner", "€30.00 was refunded", "Refunded €30.00 For"),
        (
            "10.00",
            "Payment partly refunded: €10.00 for Dinner",
            "€10.00 was refunded",
            "Refunded €10.00 of €30.00",
        ),
        (None, "Payment refunded: €30.00 for Dinner", "A payment was refunded", "Payment €30.00"),
        ("0.00", "Payment refunded: €30.00 for Dinner", "A payment was refunded", "Payment €30.00"),
    ],
)
def test_a_refund_shows_what_went_back(refunded: str | None, subject: str, heading: str, figure: str) -> None:
    told = letter("payment_refunded", PART_PAID, refunded_amount=refunded)
    assert told.subject == subject
    assert told.text.startswith(heading)
    assert heading in told.html and figure in told.html


def test_a_refund_of_a_payment_of_unknown_amount_claims_no_whole() -> None:
    told = letter("payment_refunded", PART_REFUNDED, payment_amount=None)
    assert "€10.00 of your payment to Emil Payee for “Dinner” was refunded." in told.text
    assert told.subject == "Payment refunded: €10.00 for Dinner"


def test_a_refund_says_what_is_owed_again() -> None:
    assert "€70.00 is still to be paid by May 3, 2030." in letter("payment_refunded", PART_REFUNDED).text


def test_a_refund_of_a_closed_settlement_says_nothing_of_what_is_missing() -> None:
    told = letter("payment_refunded", COMPLETED, remaining=Money("70.00", "EUR"))
    assert "was refunded. For:" in told.text
    assert "70.00" not in told.everything


# Failed payments ------------------------------------------------------------------------------------


def test_a_failed_payment_is_to_be_tried_again_while_money_is_owed() -> None:
    told = letter("payment_failed", PART_PAID)
    assert "did not go through. Please try again, or choose another way to pay." in told.text
    assert "Try again: https" in told.text and "Try again" in told.html


@pytest.mark.parametrize("role", ["payee", None])
def test_nobody_but_the_payer_is_asked_to_try_again(role: str | None) -> None:
    told = letter("payment_failed", PART_PAID, recipient_role=role)
    assert "A payment of €30.00 from Pia Payer for “Dinner” did not go through." in told.text
    assert "ry again" not in told.everything


# News of the settlement -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (PART_PAID, "and is now partially paid. €70.00 is still to be paid by May 3, 2030."),
        (COMPLETED, "and is now completed. Nothing is left to pay."),
        (CANCELLED, "and is now cancelled. Nothing is owed for it any more."),
        ({"status": "completed", "amount": 50}, "and is now completed. Nothing is left to pay."),
        ({"status": "cancelled", "amount": 50}, "and is now cancelled. Nothing is owed for it any more."),
    ],
)
def test_a_change_says_what_is_owed_now(values: dict[str, Any], sentence: str) -> None:
    assert sentence in letter("settlement_updated", values).text


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_change_to_an_end_shows_no_figure_to_pay_even_where_only_the_words_tell(status: str) -> None:
    told = letter("settlement_updated", UNPAID, status=status, is_open=None, is_cancelled=None)
    assert not re.search(r"[Tt]o pay €|to be paid|2030", told.everything)


def test_a_completed_settlement_that_owes_again_is_not_paid_in_full() -> None:
    told = letter("settlement_completed", PART_PAID)
    assert "was completed, but has been opened again. €70.00 is still to be paid" in told.text
    assert not re.search(r"in full|Nothing is left", told.everything)


def test_a_cancelled_settlement_that_owes_again_is_not_called_off() -> None:
    told = letter("settlement_cancelled", PART_PAID)
    assert "was cancelled, but has been opened again. €70.00 is still to be paid" in told.text
    assert "no longer owe" not in told.everything


@pytest.mark.parametrize(("language", "amount"), [("en", "€70.00"), ("de", "70,00\u00a0€")])
def test_nothing_left_is_known_in_every_language(language: str, amount: str) -> None:
    with translation.override(language):
        owing = letter("reminder_final", PART_PAID)
        settled = letter("reminder_final", PART_PAID, remaining="0.00")
    assert folded(amount) in owing.text
    assert "Nothing is left to pay." in settled.text


@every_reminder
def test_a_value_of_a_callers_own_does_not_settle_a_reminder(template_type: str) -> None:
    assert letter(template_type, UNPAID, settled=True) == letter(template_type, UNPAID)
