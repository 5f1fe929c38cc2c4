"""What the letters say of a settlement: only what is true of it when they are written."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from moneyed import Money

from settlements.emails import render_values
from tests.settlements.letters import (
    CANCELLED,
    COMPLETED,
    EVERY_TYPE,
    LATE,
    LATER_NAMES,
    NAMES,
    NEWS,
    ONLY_AN_AMOUNT,
    OVERPAID,
    PART_PAID,
    PART_REFUNDED,
    REMINDERS,
    SITUATIONS,
    SPEAK_OF_THE_BALANCE,
    UNPAID,
    folded,
    lead_of,
    letter,
)

ROLES = ("payer", "payee", None)

every_type = pytest.mark.parametrize("template_type", EVERY_TYPE)
every_reminder = pytest.mark.parametrize("template_type", REMINDERS)
every_situation = pytest.mark.parametrize("situation", SITUATIONS)
every_role = pytest.mark.parametrize("role", ROLES)


# Every letter -------------------------------------------------------------------------------------


@every_type
@every_situation
@every_role
def test_sentences_read_well(template_type: str, situation: str, role: str | None) -> None:
    told = letter(template_type, SITUATIONS[situation], recipient_role=role)
    assert not re.search(r" [.,:;]|[.,;]{2}|“”|\b(for|to|of|by|on) [.,;]|\{[{%#]|\bNone\b", told.text)


@every_type
@every_situation
def test_html_and_text_say_the_same_sentences(template_type: str, situation: str) -> None:
    values = SITUATIONS[situation]
    told = letter(template_type, values)
    lead = lead_of(template_type, values)
    assert lead in told.text and lead in told.html


@every_type
@every_situation
def test_values_that_went_through_json_say_the_same(template_type: str, situation: str) -> None:
    values = SITUATIONS[situation]
    as_json = {
        name: str(value.amount) if isinstance(value, Money) else value for name, value in values.items()
    }
    assert letter(template_type, as_json) == letter(template_type, values)


@every_type
def test_values_that_are_unknown_need_not_be_named(template_type: str) -> None:
    known = {name: value for name, value in PART_PAID.items() if name not in LATER_NAMES}
    assert letter(template_type, known) == letter(template_type, known, **dict.fromkeys(LATER_NAMES))


@every_type
@pytest.mark.parametrize("name", [*NAMES, *LATER_NAMES])
def test_any_value_can_be_missing(template_type: str, name: str) -> None:
    assert letter(template_type, PART_REFUNDED | {name: None}).subject


@every_reminder
def test_amounts_have_as_many_digits_as_their_currency(template_type: str) -> None:
    yen = letter(template_type, UNPAID, amount=Money(5, "JPY"), remaining=Money(5, "JPY"), currency="JPY")
    dinars = Money("1.234", "KWD")
    kuwaiti = letter(template_type, UNPAID, amount=dinars, remaining=dinars, currency="KWD")
    assert "You owe Emil Payee ¥5 for “Dinner”." in yen.text
    assert re.search(r"You owe Emil Payee KWD ?1\.234 for “Dinner”\.", kuwaiti.text)


# Nothing is left to pay ---------------------------------------------------------------------------


@pytest.mark.parametrize("template_type", SPEAK_OF_THE_BALANCE)
@pytest.mark.parametrize(
    "nothing",
    [Money(0, "EUR"), Money("0.00", "USD"), "0.00", "0", 0, 0.0, Decimal("0.000")],
    ids=repr,
)
def test_nothing_left_is_not_taken_for_the_whole_amount(template_type: str, nothing: Any) -> None:
    told = letter(template_type, UNPAID, remaining=nothing)
    assert "Nothing is left to pay." in told.text and "Nothing is left to pay." in told.html
    assert not re.search(
        r"\bowes?\b|To pay|Still to pay|still to be paid|Please|Pay now|Try again", told.everything
    )


@pytest.mark.parametrize("template_type", SPEAK_OF_THE_BALANCE)
@pytest.mark.parametrize("remaining", [None, Money(0, "EUR")], ids=["unknown", "nothing"])
def test_a_closed_settlement_asks_for_nothing(template_type: str, remaining: Money | None) -> None:
    told = letter(template_type, COMPLETED, remaining=remaining)
    assert not re.search(
        r"\bowes?\b|To pay|Still to pay|still to be paid|Please|Pay now|Try again| by | due|Due",
        told.everything,
    )


@pytest.mark.parametrize("template_type", set(SPEAK_OF_THE_BALANCE) - {"settlement_updated"})
def test_a_cancelled_settlement_owes_nothing(template_type: str) -> None:
    told = letter(template_type, CANCELLED)
    assert "The settlement was cancelled: nothing is owed." in told.text
    assert "To pay" not in told.everything and "still to be paid" not in told.everything


@every_reminder
@pytest.mark.parametrize("values", [COMPLETED, CANCELLED, UNPAID | {"remaining": Money(0, "EUR")}])
def test_reminder_of_what_is_settled_says_so_from_its_subject_on(
    template_type: str, values: dict[str, Any]
) -> None:
    told = letter(template_type, values)
    assert told.subject == "Nothing is left to pay: Dinner"
    assert told.text.startswith("Nothing is left to pay Hello")
    assert told.html.startswith("Settlement Nothing is left to pay Hello")


@every_reminder
def test_no_amount_of_zero_is_asked_for(template_type: str) -> None:
    told = letter(template_type, UNPAID, amount=Money(0, "EUR"), remaining=None)
    assert "Nothing is left to pay." in told.text
    assert "€0.00" not in told.html


@pytest.mark.parametrize("template_type", EVERY_TYPE)
def test_no_letter_shows_a_remainder_of_zero(template_type: str) -> None:
    assert "€0.00" not in letter(template_type, COMPLETED).everything


# Who owes whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize("template_type", [*REMINDERS, "settlement_created"])
@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("payer", "You still owe Emil Payee €70.00 of €100.00 for “Dinner”"),
        ("payee", "Pia Payer still owes you €70.00 of €100.00 for “Dinner”"),
        (None, "Pia Payer still owes Emil Payee €70.00 of €100.00 for “Dinner”"),
    ],
)
def test_a_part_paid_settlement_owes_what_is_left(
    template_type: str, role: str | None, sentence: str
) -> None:
    assert sentence in letter(template_type, PART_PAID, recipient_role=role).text


@pytest.mark.parametrize("template_type", [*REMINDERS, "settlement_created"])
def test_an_unpaid_settlement_owes_its_amount(template_type: str) -> None:
    assert "You owe Emil Payee €100.00 for “Dinner”" in letter(template_type, UNPAID).text


@pytest.mark.parametrize("template_type", [*REMINDERS, "settlement_created"])
def test_an_amount_that_was_given_is_not_mixed_with_what_is_left_of_another(template_type: str) -> None:
    told = letter(template_type, UNPAID, amount="7.50", currency="USD")
    assert "You owe Emil Payee $7.50 for “Dinner”" in told.text
    assert "€100.00" not in told.everything


@every_reminder
@pytest.mark.parametrize("role", ["payee", None])
def test_only_the_payer_is_asked_to_pay(template_type: str, role: str | None) -> None:
    told = letter(template_type, PART_PAID, recipient_role=role)
    assert not re.search(r"\bYou (still )?owe\b|Please pay|Pay now", told.everything)


@every_reminder
def test_the_payer_has_a_button_to_pay(template_type: str) -> None:
    told = letter(template_type, PART_PAID)
    assert "Pay now: https://app.example.com/settlements/1/" in told.text
    assert "Pay now" in told.html


# When it is due -----------------------------------------------------------------------------------


@pytest.mark.parametrize("template_type", [*SPEAK_OF_THE_BALANCE, "settlement_cancelled"])
@every_role
def test_a_day_that_is_past_is_spoken_of_as_past(template_type: str, role: str | None) -> None:
    told = letter(template_type, LATE, recipient_role=role)
    assert not re.search(r"\bby May|(?<!was )due on|\bis due|Due now|Due on|\bDue\b", told.everything)


@pytest.mark.parametrize("template_type", [*REMINDERS, *NEWS])
def test_a_day_that_is_past_is_named(template_type: str) -> None:
    told = letter(template_type, LATE)
    assert "was due on May 3, 2030." in told.text
    assert "Was due: May 3, 2030, 2:30 PM UTC" in told.text


@pytest.mark.parametrize("template_type", EVERY_TYPE)
@every_role
def test_a_day_that_is_not_past_is_not_called_past(template_type: str, role: str | None) -> None:
    told = letter(template_type, PART_PAID, recipient_role=role)
    assert not re.search(r"was due|Was due|[Oo]verdue|[Pp]ast due", told.everything)


@pytest.mark.parametrize(
    ("template_type", "is_past_due", "subject", "heading"),
    [
        ("reminder_initial", False, "A payment to make to Emil Payee: Dinner", "A payment to make by"),
        ("reminder_initial", True, "A payment to make to Emil Payee: Dinner", "A payment to make Hello"),
        ("reminder_follow_up", False, "Reminder: Dinner is still open", "This payment is still open"),
        ("reminder_follow_up", True, "Reminder: Dinner is still open", "This payment is still open"),
        ("reminder_final", False, "Due on May 3, 2030: Dinner to Emil Payee", "A payment is due on May"),
        ("reminder_final", True, "Past due: Dinner to Emil Payee", "A payment was due on May"),
        ("reminder_overdue", False, "Due on May 3, 2030: Dinner to Emil Payee", "A payment is due on May"),
        ("reminder_overdue", True, "Overdue: Dinner to Emil Payee", "A payment is overdue"),
        ("settlement_reminder", False, "Reminder: Dinner is still open", "This payment is still open"),
        ("settlement_reminder", True, "Reminder: Dinner is still open", "This payment is still open"),
    ],
)
def test_a_reminder_is_headed_by_when_it_is_due(
    template_type: str, is_past_due: bool, subject: str, heading: str
) -> None:
    told = letter(template_type, UNPAID, is_past_due=is_past_due)
    assert told.subject == subject
    assert told.text.startswith(heading)
    assert heading in told.html


@pytest.mark.parametrize(
    ("template_type", "sentence"),
    [
        ("reminder_initial", "Please pay when you can."),
        ("reminder_follow_up", "Please pay when you can."),
        ("reminder_final", "The payment is due now."),
        ("reminder_overdue", "The payment is overdue."),
        ("settlement_reminder", "Please pay when you can."),
    ],
)
def test_a_reminder_without_a_due_date_names_none(template_type: str, sentence: str) -> None:
    assert sentence in letter(template_type, UNPAID, due_date=None).text


def test_an_overdue_reminder_that_knows_no_day_of_today_believes_its_name() -> None:
    told = letter("reminder_overdue", UNPAID, is_past_due=None)
    assert told.subject == "Overdue: Dinner to Emil Payee"
    assert "The payment was due on May 3, 2030." in told.text


# A reminder of a caller's own ---------------------------------------------------------------------


def test_a_reminder_of_a_callers_own_says_who_owes_whom_how_much_and_when() -> None:
    told = letter("settlement_reminder", UNPAID)
    assert "You owe Emil Payee €100.00 for “Dinner”. Please pay by May 3, 2030." in told.text
    assert "To pay €100.00" in told.html


def test_a_reminder_with_nothing_but_an_amount_says_that_much() -> None:
    told = letter("settlement_reminder", ONLY_AN_AMOUNT)
    assert told.subject == "Reminder: a payment is still open"
    assert "Hello, A payment of $50.00 is still open. Please pay when you can." in told.text
    assert "To pay $50.00" in told.html


# Somebody else pays now ---------------------------------------------------------------------------


def test_who_was_released_is_told_that_nothing_is_owed_any_more() -> None:
    told = letter("settlement_released", UNPAID, recipient_role=None)
    assert told.subject == "You no longer owe anything: Dinner"
    assert "You no longer owe Emil Payee anything for “Dinner”. Somebody else pays now." in told.text


@every_situation
def test_who_was_released_is_told_no_amount_no_day_and_gets_no_button(situation: str) -> None:
    told = letter("settlement_released", SITUATIONS[situation] | {"recipient_name": "Paul"})
    assert not re.search(r"[€$]|2030|Due|due|Pia|Pay now|Open the settlement|https", told.everything)


@pytest.mark.parametrize("values", [COMPLETED, CANCELLED])
def test_nobody_else_pays_for_what_is_closed(values: dict[str, Any]) -> None:
    assert "Somebody else pays now" not in letter("settlement_released", values).text


def test_who_was_released_takes_part_no_more() -> None:
    told = letter("settlement_released", UNPAID)
    assert "because you took part in the settlement “Dinner”" in told.text
    assert "because you took part in the settlement “Dinner”" in (
        render_values("settlement_released", "", UNPAID).html
    )


# Paid too much ------------------------------------------------------------------------------------


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


# Refunds ------------------------------------------------------------------------------------------


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


# Failed payments ----------------------------------------------------------------------------------


def test_a_failed_payment_is_to_be_tried_again_while_money_is_owed() -> None:
    told = letter("payment_failed", PART_PAID)
    assert "did not go through. Please try again, or choose another way to pay." in told.text
    assert "Try again: https" in told.text and "Try again" in told.html


@pytest.mark.parametrize("role", ["payee", None])
def test_nobody_but_the_payer_is_asked_to_try_again(role: str | None) -> None:
    told = letter("payment_failed", PART_PAID, recipient_role=role)
    assert "A payment of €30.00 from Pia Payer for “Dinner” did not go through." in told.text
    assert "ry again" not in told.everything


# News of the settlement ---------------------------------------------------------------------------


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
