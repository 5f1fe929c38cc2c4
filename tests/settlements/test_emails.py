"""What e-mails say: every type, full and empty, in English and German, safe in HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError
from django.utils import timezone, translation
from moneyed import Money
from pytest_django import DjangoAssertNumQueries

from settlements import emails
from settlements.exceptions import InvalidEmailAddress, UnknownTemplateType
from settlements.models import Payment, Settlement
from settlements.rows import Rows
from settlements.templatetags.settlement_format import day, day_and_time, money, one_line

FULL: dict[str, Any] = {
    "amount": "1250.00",
    "currency": "EUR",
    "remaining": "450.00",
    "due_date": "2030-05-03T14:30:00+00:00",
    "description": "Summer house",
    "status": "partially paid",
    "payer_name": "Pia Payer",
    "payee_name": "Emil Payee",
    "recipient_name": "Pia Payer",
    "recipient_role": "payer",
    "payment_amount": "300",
    "failure_reason": "card expired",
    "settlement_url": "https://app.example.com/settlements/1/",
}
EMPTY: dict[str, Any] = {}
NO_BREAK = "\u00a0"

every_type = pytest.mark.parametrize("template_type", emails.TEMPLATE_TYPES)
every_context = pytest.mark.parametrize("data", [FULL, EMPTY], ids=["full", "empty"])
every_role = pytest.mark.parametrize("role", ["payer", "payee", None])


def visible(html: str) -> str:
    """The text of an HTML page as a reader sees it."""
    return " ".join(re.sub(r"<style>.*?</style>|<!--.*?-->|<[^>]*>", " ", html, flags=re.DOTALL).split())


def folded(text: str) -> str:
    """A plain text body with its lines joined."""
    return " ".join(re.split(r"[ \n]+", text))


# Every type -------------------------------------------------------------------------------------


@every_type
@every_context
def test_every_type_has_a_subject_of_one_line(template_type: str, data: dict[str, Any]) -> None:
    subject = emails.render(template_type, "", data).subject
    assert subject == subject.strip() != ""
    assert subject.splitlines() == [subject]


@every_type
@every_context
@every_role
def test_no_template_syntax_and_no_missing_value_is_left(
    template_type: str, data: dict[str, Any], role: str | None
) -> None:
    rendered = emails.render(template_type, "", {**data, "recipient_role": role})
    for text in (rendered.subject, rendered.text, rendered.html):
        assert not re.search(r"\{\{|\{%|\{#|\bNone\b", text)


@every_type
@every_context
@every_role
def test_sentences_read_well_whatever_is_missing(
    template_type: str, data: dict[str, Any], role: str | None
) -> None:
    text = emails.render(template_type, "", {**data, "recipient_role": role}).text
    assert not re.search(r" [.,:]|[.,]{2}|“”|\bfor [.,]|\bto [.,]|\bof [.,]|\bby \.", text)
    assert "  " not in text.partition("\n\n")[2].partition("\n\n")[2].partition("\n\n")[0]


@every_type
def test_every_name_that_a_template_may_show_can_be_missing_alone(template_type: str) -> None:
    for name in emails.VALUES:
        assert emails.render(template_type, "", {**FULL, name: None}).html


@every_type
def test_html_and_text_say_the_same_sentence(template_type: str) -> None:
    rendered = emails.render(template_type, "", FULL)
    sentence = " ".join(rendered.text.split("\n\n")[2].split())
    assert sentence in visible(rendered.html)


@every_type
def test_description_cannot_bring_markup_into_the_html(template_type: str) -> None:
    rendered = emails.render(template_type, "", {**FULL, "description": "<script>alert(1)</script>"})
    assert "<script" not in rendered.html
    assert "&lt;script&gt;" in rendered.html


@every_type
def test_text_is_not_escaped(template_type: str) -> None:
    rendered = emails.render(template_type, "", {**FULL, "description": "Fish & <Chips> “to go”"})
    assert "Fish & <Chips> “to go”" in rendered.text
    assert "&amp;" not in rendered.text + rendered.subject


@every_type
def test_css_is_inlined(template_type: str) -> None:
    html = emails.render(template_type, "", FULL).html
    (style,) = re.findall(r'<td class="card"[^>]* style="([^"]*)"', html)
    assert "background-color: #ffffff" in style


@every_type
def test_only_rules_that_cannot_be_inlined_stay_in_the_style_block(template_type: str) -> None:
    html = emails.render(template_type, "", FULL).html
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    assert style.strip().startswith("@media")
    assert "prefers-color-scheme: dark" in style and "max-width: 480px" in style


@every_type
def test_nothing_is_loaded_from_elsewhere(template_type: str) -> None:
    html = emails.render(template_type, "", FULL).html
    assert not re.search(r"<img|<link|<script|url\(|@import|\bsrc=", html)


def test_each_type_has_its_own_templates_and_no_template_is_left_over(settings: LazySettings) -> None:
    folder = Path(settings.BASE_DIR) / "templates" / "email"
    kinds = (".subject.txt", ".lead.txt", ".txt", ".html")
    expected = {name + kind for name in emails.TEMPLATE_TYPES for kind in kinds}
    assert {path.name for path in folder.iterdir() if path.is_file()} == expected | {"base.html", "base.txt"}


# Who reads it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("payer", "You still owe Emil Payee €450.00"),
        ("payee", "Pia Payer still owes you €450.00"),
        (
            None,
            "Pia Payer still owes Emil Payee €450.00",
        ),
    ],
)
def test_the_sentence_speaks_to_the_reader(role: str | None, sentence: str) -> None:
    text = emails.render("settlement_created", "", {**FULL, "recipient_role": role}).text
    assert f"{sentence} of €1,250.00 for “Summer house”, due on May 3, 2030." in folded(text)


def test_reminder_of_a_part_paid_settlement_names_what_is_still_owed() -> None:
    text = emails.render("reminder_final", "", FULL).text
    assert "You still owe Emil Payee €450.00" in text


def test_reminder_of_an_unpaid_settlement_names_the_whole_amount() -> None:
    text = emails.render("reminder_final", "", {**FULL, "remaining": "1250.00"}).text
    assert "You owe Emil Payee €1,250.00" in text


def test_failed_payment_names_the_reason() -> None:
    assert "“card expired”" in emails.render("payment_failed", "", FULL).text


def test_link_is_shown_in_html_and_text() -> None:
    rendered = emails.render("reminder_initial", "", FULL)
    assert 'href="https://app.example.com/settlements/1/"' in rendered.html
    assert "https://app.example.com/settlements/1/" in rendered.text


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//evil.example", "http://[broken", "", None])
def test_link_that_is_no_web_address_is_left_out(link: str | None) -> None:
    rendered = emails.render("reminder_initial", "", {**FULL, "settlement_url": link})
    assert "href" not in rendered.html
    assert "Pay now" not in rendered.text


# Subject ----------------------------------------------------------------------------------------


def test_given_subject_wins_over_the_template() -> None:
    assert emails.render("payment_failed", "Read this", FULL).subject == "Read this"


@pytest.mark.parametrize("subject", ["", "   ", "\r\n"])
def test_blank_subject_does_not_win(subject: str) -> None:
    assert emails.render("payment_failed", subject, FULL).subject == "Payment failed: Summer house"


def test_line_breaks_in_a_subject_become_blanks() -> None:
    rendered = emails.render("payment_failed", "One\r\nBcc: two@example.com", {})
    assert rendered.subject == "One Bcc: two@example.com"


def test_line_breaks_in_a_value_do_not_break_the_subject() -> None:
    rendered = emails.render("payment_failed", "", {"description": "One\nTwo"})
    assert rendered.subject == "Payment failed: One Two"


# Language and time zone -------------------------------------------------------------------------


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


# What is looked up ------------------------------------------------------------------------------


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


# Checks -----------------------------------------------------------------------------------------


def test_unknown_template_type_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UnknownTemplateType, match=r"'reminder_frist'.*allowed are: reminder_initial, "):
        emails.check_template_type("reminder_frist")


def test_known_template_type_and_plain_address_come_back() -> None:
    assert emails.check_template_type("payment_failed") == "payment_failed"
    assert emails.check_address("pia@example.com") == "pia@example.com"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pia",
        "pia@",
        "@example.com",
        "Pia <pia@example.com>",
        "pia@example.com, emil@example.com",
        "pia@example.com\nBcc: emil@example.com",
        "pia@example.com\r",
        f"{'p' * 64}@{'e' * 63}.{'e' * 63}.{'e' * 63}.com",
        None,
        7,
    ],
)
def test_text_that_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(InvalidEmailAddress, match=r"allowed|such as"):
        emails.check_address(text)


def test_refused_address_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidEmailAddress) as caught:
        emails.check_address("pia@example.com, emil@example.com")
    assert "pia" not in str(caught.value)


# Sending ----------------------------------------------------------------------------------------


def test_sent_email_has_both_bodies_and_the_message_id() -> None:
    rendered = emails.render("payment_failed", "", FULL)
    emails.send(rendered, "pia@example.com", "<one@example.com>")
    (message,) = mail.outbox
    assert isinstance(message, mail.EmailMultiAlternatives)
    assert message.to == ["pia@example.com"]
    assert message.body == rendered.text
    assert message.alternatives[0][0] == rendered.html
    assert message.message()["Message-ID"] == "<one@example.com>"


def test_sent_email_asks_for_no_automatic_answer() -> None:
    emails.send(emails.render("payment_failed", "", FULL), "pia@example.com", "<one@example.com>")
    assert mail.outbox[0].message()["Auto-Submitted"] == "auto-generated"


def test_email_that_the_backend_dropped_does_not_count_as_sent(settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = "tests.settlements.test_emails.DroppingBackend"
    with pytest.raises(emails.EmailNotSent, match="sent nothing"):
        emails.send(emails.render("payment_failed", "", FULL), "pia@example.com", "<one@example.com>")


class DroppingBackend(BaseEmailBackend):
    """Says that it sent nothing."""

    def send_messages(self, email_messages: Any) -> int:
        return 0


def test_an_error_while_the_balance_is_read_is_not_taken_for_no_balance(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Rows:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(emails, "read", away)
    with pytest.raises(OperationalError, match="lock timeout"):
        emails.render("reminder_final", "", {"settlement_id": str(settlement.pk)})
