"""What e-mails say: in the language and time zone set, and of what is looked up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone, translation
from moneyed import Money
from pytest_django import DjangoAssertNumQueries

from settlements import emails
from settlements.models import Payment, Settlement
from settlements.templatetags.settlement_format import day, day_and_time, money, one_line
from tests.settlements.email_contents import FULL, folded

NO_BREAK = "\u00a0"


# Language and time zone -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "amount", "due"),
    [("en", "€1,250.00", "May 3, 2030"), ("de", f"1.250,00{NO_BREAK}€", "3. Mai 2030")],
)
def test_amounts_and_dates_follow_the_active_language(language: str, amount: str, due: str) -> None:
    with translation.override(language):
        rendered = emails.render("settlement_created", "", FULL)
    assert amount in rendered.text and amount in rendered.html.replace("&nbsp;", NO_BREAK)
    assert due in rendered.text and due in rendered.html


def test_due_time_follows_the_zone_of_the_reminders_and_not_the_active_one(settings: LazySettings) -> None:
    settings.SETTLEMENTS = {"REMINDERS": {"TIME_ZONE": "America/New_York"}}
    with timezone.override("Asia/Tokyo"):
        text = emails.render("settlement_created", "", FULL).text
    assert f"May 3, 2030, 10:30{NO_BREAK}AM EDT" in text


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (Money("12.5", "EUR"), "USD", "€12.50"),
        ("12.50", "eur", "€12.50"),
        (12, "JPY", "¥12"),
        (Money("10.50", "RSD"), "", "RSD10.50"),
        (Money("10.25", "IQD"), "", "IQD10.250"),
        (Money("33.333", "EUR"), "", "€33.333"),
        (0.1 + 0.2, "EUR", "€0.30"),
        (12.5, "", "12.5"),
        (Decimal("-3"), "USD", "-$3.00"),
        ("about ten", "EUR", "about ten"),
        ("NaN", "EUR", "NaN"),
        ("1e999999", "EUR", "1e999999"),
        (True, "EUR", "True"),
        (None, "EUR", ""),
    ],
)
def test_money_is_written_whatever_json_made_of_it(value: Any, currency: str, expected: str) -> None:
    assert money(value, currency) == expected


def test_unknown_currency_is_shown_by_its_code() -> None:
    assert money("5", "XQZ").replace(NO_BREAK, "") == "XQZ5.00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2030, 5, 3, 23, 30, tzinfo=UTC), "May 3, 2030"),
        ("2030-05-03T23:30:00Z", "May 3, 2030"),
        ("2030-05-03T23:30:00", "May 3, 2030"),
        (date(2030, 5, 3), "May 3, 2030"),
        ("2030-05-03", "May 3, 2030"),
        ("2030-13-41", "2030-13-41"),
        ("next week", "next week"),
        (None, ""),
    ],
)
def test_day_is_written_whatever_json_made_of_it(value: Any, expected: str) -> None:
    assert day(value) == expected


def test_day_is_the_day_in_the_active_time_zone() -> None:
    with timezone.override("Asia/Tokyo"):
        assert day(datetime(2030, 5, 3, 23, 30, tzinfo=UTC)) == "May 4, 2030"


def test_date_without_a_time_is_shown_without_one() -> None:
    assert day_and_time("2030-05-03") == "May 3, 2030"


@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
def test_dates_at_the_ends_of_the_calendar_are_written(moment: datetime) -> None:
    with timezone.override("Asia/Tokyo" if moment == datetime.max else "America/New_York"):
        assert day(moment.replace(tzinfo=UTC)) in ("January 1, 1", "December 31, 9999")


def test_language_without_a_locale_is_written_in_english() -> None:
    with translation.override("en"):
        english = day("2030-05-03")
    with translation.override("xx-unknown"):
        assert day("2030-05-03") == english


def test_one_line_keeps_no_break_spaces() -> None:
    assert one_line(f" a\n b\t\tc{NO_BREAK}d ") == f"a b c{NO_BREAK}d"


# What is looked up ----------------------------------------------------------------------------------


def test_settlement_is_looked_up_by_id(settlement: Settlement) -> None:
    text = emails.render("settlement_created", "", {"settlement_id": str(settlement.pk)}).text
    assert "Pia Payer owes Emil Payee €100.00 for “Dinner in Lisbon”" in text


def test_recipient_is_looked_up_by_id(settlement: Settlement, payer: User) -> None:
    data = {"settlement_id": str(settlement.pk), "user_id": payer.pk}
    text = emails.render("settlement_created", "", data).text
    assert "Hello Pia Payer," in text
    assert "You owe Emil Payee €100.00" in text


def test_user_without_a_name_is_called_by_the_user_name(db: None) -> None:
    user = User.objects.create_user("anna")
    assert "Hello anna," in emails.render("payment_received", "", {"user_id": user.pk}).text


def test_payment_is_looked_up_by_id(settlement: Settlement, make_payment: Callable[..., Payment]) -> None:
    payment = make_payment(settlement, amount=Money(30, "EUR"), status="completed")
    text = emails.render("payment_received", "", {"payment_id": str(payment.pk)}).text
    assert "A payment of €30.00 for “Dinner in Lisbon” has arrived." in folded(text)
    assert "€70.00 is still to be paid" in folded(text)


def test_a_settlement_of_which_nothing_was_paid_takes_one_query(
    settlement: Settlement,
    payer: User,
    make_payment: Callable[..., Payment],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_payment(status=Payment.Status.FAILED)
    data = {"settlement_id": str(settlement.pk), "user_id": payer.pk}

    with django_assert_num_queries(1):
        text = emails.render("settlement_created", "", data).text

    assert "still to be paid" not in folded(text)


def test_looked_up_values_win_over_given_ones(settlement: Settlement) -> None:
    data = {"settlement_id": str(settlement.pk), "amount": "7.50", "payee_name": "Somebody"}
    text = emails.render("settlement_created", "", data).text
    assert "Pia Payer owes Emil Payee €100.00" in text


def test_payment_in_another_currency_leaves_the_balance_as_it_was(
    settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(settlement, amount=Money(30, "USD"), status="completed")
    text = emails.render("payment_received", "", {"payment_id": str(payment.pk)}).text
    assert "$30.00" in text
    assert "€100.00 is still to be paid" in folded(text)


def test_overpaid_settlement_owes_nothing(
    settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(settlement, amount=Money(130, "EUR"), status="completed")
    text = emails.render("payment_received", "", {"payment_id": str(payment.pk)}).text
    assert "Nothing is left to pay." in folded(text)


@pytest.mark.parametrize("key", ["7d9c0b6e-4c57-4d2f-9a0e-0f7f6f1f1a11", "no id", "", 5, {"a": 1}])
def test_objects_that_are_gone_leave_a_readable_email(db: None, key: Any) -> None:
    data = {"settlement_id": key, "payment_id": key, "user_id": key}
    assert "A payment has arrived." in emails.render("payment_received", "", data).text


def test_settlement_is_looked_up_in_the_database_named(settlement: Settlement) -> None:
    with pytest.raises(AssertionError, match="other"):
        emails.render("settlement_created", "", {"settlement_id": str(settlement.pk)}, using="other")


def test_link_to_the_settlement_needs_the_site_address(
    settlement: Settlement, settings: LazySettings
) -> None:
    data = {"settlement_id": str(settlement.pk)}
    settings.SITE_URL = ""
    without = emails.render("settlement_created", "", data).html
    settings.SITE_URL = "https://app.example.com/"
    with_link = emails.render("settlement_created", "", data).html
    assert "href" not in without
    assert f'href="https://app.example.com/settlements/{settlement.pk}/"' in with_link
