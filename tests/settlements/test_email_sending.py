"""What is looked at before an e-mail is made, and how it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError

from settlements import emails
from settlements.exceptions import InvalidEmailAddress, UnknownTemplateType
from settlements.models import Settlement
from settlements.rows import Rows
from tests.settlements.email_contents import FULL

# Checks ---------------------------------------------------------------------------------------------


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


# Sending --------------------------------------------------------------------------------------------


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
    settings.EMAIL_BACKEND = f"{__name__}.DroppingBackend"
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
