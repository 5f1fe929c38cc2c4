"""The processor of e-mails: what is sent arrives, and is written down."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.mail.backends.locmem import EmailBackend as MemoryBackend
from django.db import connection
from django.utils import timezone

from jobqueue.registry import get_processor
from jobqueue.testing import run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements.deliveries import message_id_of
from settlements.models import EmailDelivery, Settlement
from tests.settlements.email_steps import ADDRESS, Serve, add, delivery_of, payload, serve
from tests.settlements.smtp import Mailbox

__all__ = ["serve"]


def test_email_arrives_once(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    outcome = run_job(add())
    assert outcome.status == OutcomeStatus.COMPLETED
    (message,) = mailbox.messages
    assert message["To"] == ADDRESS
    assert message["Subject"] == "Payment failed: Dinner"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_email_with_long_unicode_text_arrives_unchanged(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    description = "Äpfel, naïve 日本 🎉 " * 100
    run_job(add(template_data={"description": description}))
    text = mailbox.messages[0].get_body(("plain",))
    assert text is not None
    assert description.strip() in " ".join(text.get_content().split("\n"))


def test_delivery_is_sent_afterwards(db: None, serve: Serve) -> None:
    serve(Mailbox())
    before = timezone.now()
    job = add(subject="settlements.settlement:7")
    run_job(job)
    delivery = delivery_of(job)
    assert delivery.status == EmailDelivery.Status.SENT
    assert delivery.sent_at is not None and before <= delivery.sent_at <= timezone.now()
    assert (delivery.recipient, delivery.template_type) == (ADDRESS, "payment_failed")
    assert (delivery.subject, delivery.about) == ("Payment failed: Dinner", "settlements.settlement:7")
    assert (delivery.tries, delivery.error) == (1, "")


def test_message_id_is_made_of_the_job(db: None, serve: Serve, settings: LazySettings) -> None:
    settings.EMAIL_MESSAGE_ID_DOMAIN = "mail.example.org"
    mailbox = serve(Mailbox())
    job = add()
    run_job(job)
    expected = f"<job-{job.pk}-{int(job.created_at.timestamp())}@mail.example.org>"
    assert mailbox.messages[0]["Message-ID"] == delivery_of(job).message_id == expected


@pytest.mark.parametrize(
    ("configured", "sender", "domain"),
    [
        ("mail.example.org", "SpendSync <noreply@example.com>", "mail.example.org"),
        ("", "SpendSync <noreply@example.com>", "example.com"),
        ("", "noreply@example.com", "example.com"),
        ("", "nobody", "localhost"),
    ],
)
def test_message_id_domain(settings: LazySettings, configured: str, sender: str, domain: str) -> None:
    settings.EMAIL_MESSAGE_ID_DOMAIN = configured
    settings.DEFAULT_FROM_EMAIL = sender
    assert message_id_of(None).endswith(f"@{domain}>")


def test_settlement_in_the_template_data_is_looked_up(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    mailbox = serve(Mailbox())
    data = {"settlement_id": str(settlement.pk)}
    run_job(add(user_id=payer.pk, template_type="settlement_created", template_data=data))
    text = mailbox.messages[0].get_body(("plain",))
    assert text is not None
    assert "Hello Pia Payer," in text.get_content()
    assert "You owe Emil Payee €100.00" in text.get_content()


def test_long_subject_is_sent_whole_and_stored_in_short(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add(email_subject="word " * 100)
    run_job(job)
    assert len(delivery_of(job).subject) == 250
    assert mailbox.messages[0]["Subject"] == ("word " * 100).strip()


def test_call_outside_a_worker_sends_under_an_id_of_its_own(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    send = get_processor("email.notification")
    assert send(**payload()) is None and send(**payload()) is None
    first, second = (message["Message-ID"] for message in mailbox.messages)
    assert first != second
    assert set(EmailDelivery.objects.values_list("message_id", "status")) == {
        (first, "sent"),
        (second, "sent"),
    }


class WatchingBackend(MemoryBackend):
    """Notes what the database looked like at the moment of sending."""

    seen: list[tuple[bool, str, int]] = []

    def send_messages(self, messages: Any) -> int:
        delivery = EmailDelivery.objects.get()
        self.seen.append((connection.in_atomic_block, delivery.status, delivery.tries))
        return super().send_messages(messages)


@pytest.mark.django_db(transaction=True)
def test_row_is_committed_as_sending_and_no_transaction_is_open_while_sending(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.WatchingBackend"
    monkeypatch.setattr(WatchingBackend, "seen", [])
    run_job(add())
    assert WatchingBackend.seen == [(False, "sending", 1)]
