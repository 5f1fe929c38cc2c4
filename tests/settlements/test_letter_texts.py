"""The words of letters: what is owed, by whom, and when."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from moneyed import Money

from settlements.emails import render_values
from tests.settlements.letter_text_steps import every_reminder, every_role
from tests.settlements.letters import (
    CANCELLED,
    COMPLETED,
    EVERY_TYPE,
    LATE,
    LATER_NAMES,
    NAMES,
    NEWS,
    ONLY_AN_AMOUNT,
    PART_PAID,
    PART_REFUNDED,
    REMINDERS,
    SITUATIONS,
    SPEAK_OF_THE_BALANCE,
    UNPAID,
    lead_of,
    letter,
)

every_type = pytest.mark.parametrize("template_type", EVERY_TYPE)


every_situation = pytest.mark.parametrize("situation", SITUATIONS)


# Every letter ---------------------------------------------------------------------------------------


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


# Nothing is left to pay -----------------------------------------------------------------------------


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


# Who owes whom --------------------------------------------------------------------------------------


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


# When it is due -------------------------------------------------------------------------------------


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


# A reminder of a caller's own -----------------------------------------------------------------------


def test_a_reminder_of_a_callers_own_says_who_owes_whom_how_much_and_when() -> None:
    told = letter("settlement_reminder", UNPAID)
    assert "You owe Emil Payee €100.00 for “Dinner”. Please pay by May 3, 2030." in told.text
    assert "To pay €100.00" in told.html


def test_a_reminder_with_nothing_but_an_amount_says_that_much() -> None:
    told = letter("settlement_reminder", ONLY_AN_AMOUNT)
    assert told.subject == "Reminder: a payment is still open"
    assert "Hello, A payment of $50.00 is still open. Please pay when you can." in told.text
    assert "To pay $50.00" in told.html


# Somebody else pays now -----------------------------------------------------------------------------


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
