"""E-mails of every type: whom they speak to, and under which subject."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from settlements import emails
from tests.settlements.email_contents import FULL, folded

EMPTY: dict[str, Any] = {}


every_type = pytest.mark.parametrize("template_type", emails.TEMPLATE_TYPES)


every_context = pytest.mark.parametrize("data", [FULL, EMPTY], ids=["full", "empty"])


every_role = pytest.mark.parametrize("role", ["payer", "payee", None])


def visible(html: str) -> str:
    """The text of an HTML page as a reader sees it."""
    return " ".join(re.sub(r"<style>.*?</style>|<!--.*?-->|<[^>]*>", " ", html, flags=re.DOTALL).split())


# Every type -----------------------------------------------------------------------------------------


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


# Who reads it ---------------------------------------------------------------------------------------


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


# Subject --------------------------------------------------------------------------------------------


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
