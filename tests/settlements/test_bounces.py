"""What providers report after they took an e-mail: shown, barred, and nothing is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent, EventType
from django.contrib.auth.models import User
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements import emails
from settlements.addresses import note_event
from settlements.models import BarredAddress, EmailDelivery, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.settlements.mail_providers import Mailgun, MailProvider, SendGrid, running
from tests.settlements.steps import EMAIL, domain_settings, only, reminders_of

PIA = "payer@example.com"
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(params=[SendGrid, Mailgun], autouse=True)
def provider(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MailProvider]:
    monkeypatch.setenv("NO_PROXY", "*")
    with running(request.param) as server:
        settings.SETTLEMENTS = domain_settings()
        settings.EMAIL_BACKEND = server.backend
        settings.ANYMAIL = {"REQUESTS_TIMEOUT": 10, **server.anymail}
        yield server


@pytest.fixture
def letter(settlement: Settlement) -> Job:
    """The e-mail of the initial reminder, decided on just now."""
    run_job(reminders_of(settlement)["initial", 0])
    return only(settlement, EMAIL)


def delivery() -> EmailDelivery:
    return EmailDelivery.objects.get(template_type="reminder_initial")


def report(event_type: str, *, at: datetime | None = None, message_id: str = "", **more: Any) -> None:
    """What the provider's webhook makes of an event about the payer's e-mail."""
    event = AnymailTrackingEvent(
        event_type=event_type,
        timestamp=at or timezone.now(),
        recipient=more.pop("recipient", PIA),
        message_id=message_id or None,
        metadata=more.pop("metadata", {}),
        mta_response="550 5.1.1 no such user",
        reject_reason=None,
        esp_event={},
    )
    note_event(None, event, "Provider")


def report_bounce(**more: Any) -> None:
    report(EventType.BOUNCED, message_id=delivery().provider_id, **more)


# After it was taken ---------------------------------------------------------------------------------


def test_a_taken_email_keeps_what_the_provider_calls_it(letter: Job) -> None:
    run_job(letter)
    assert (delivery().status, bool(delivery().provider_id)) == ("sent", True)


def test_a_bounce_is_shown_on_the_delivery(letter: Job) -> None:
    run_job(letter)
    report_bounce()
    assert delivery().status == "bounced"
    assert "550 5.1.1" in delivery().error


def test_a_bounce_bars_the_address(letter: Job) -> None:
    run_job(letter)
    report_bounce()
    assert (BarredAddress.objects.get().address, BarredAddress.objects.get().cause) == (PIA, "bounced")


def test_a_complaint_is_shown_and_bars_the_address(letter: Job) -> None:
    run_job(letter)
    report(EventType.COMPLAINED, message_id=delivery().provider_id)
    assert (delivery().status, BarredAddress.objects.get().cause) == ("complained", "complained")


def test_a_bounce_after_a_complaint_hides_nothing(letter: Job) -> None:
    run_job(letter)
    report(EventType.COMPLAINED, message_id=delivery().provider_id)
    report_bounce()
    assert delivery().status == "complained"


def test_a_bounced_email_is_not_sent_again(
    letter: Job, settlement: Settlement, provider: MailProvider
) -> None:
    run_job(letter)
    report_bounce()
    Job.objects.filter(pk=letter.pk).update(state="failed")
    letter.refresh_from_db()
    letter.retry()
    run_job(letter)
    reconcile(full=True)
    assert letter.reason == "skipped: already sent"
    assert len(provider.emails) == 1
    assert delivery().status == "bounced"


def test_the_next_reminder_is_not_sent(letter: Job, settlement: Settlement, provider: MailProvider) -> None:
    run_job(letter)
    report_bounce()
    job = reminders_of(settlement)["follow_up", 1]
    run_job(job)
    assert job.reason.startswith("skipped: the address is barred")
    assert len(provider.emails) == 1


def test_a_report_about_somebody_elses_address_does_not_touch_the_delivery(letter: Job) -> None:
    run_job(letter)
    report_bounce(recipient="other@example.com")
    assert delivery().status == "sent"


def test_a_bounce_counts_in_every_database() -> None:
    """Where the e-mail's row is, the provider does not know."""
    row = EmailDelivery.objects.using("other").create(
        message_id="<m@x>", provider_id="p-1", recipient=PIA, template_type="reminder_initial", status="sent"
    )
    report(EventType.BOUNCED, message_id="p-1")
    row.refresh_from_db()
    assert row.status == "bounced"
    assert [BarredAddress.objects.using(name).count() for name in ("default", "other")] == [1, 1]


# Early, late and twice ------------------------------------------------------------------------------


def test_the_same_report_twice_changes_nothing(letter: Job) -> None:
    run_job(letter)
    moment = timezone.now()
    report_bounce(at=moment)
    before = list(BarredAddress.objects.values())
    report_bounce(at=moment)
    assert list(BarredAddress.objects.values()) == before


def cleared(user: User) -> BarredAddress:
    barred = BarredAddress.objects.get()
    barred.clear(user, "it works again")
    return barred


@pytest.mark.parametrize("ago", [timedelta(0), 5 * MINUTE, -5 * MINUTE])
def test_a_replay_after_it_was_cleared_bars_nothing(letter: Job, payer: User, ago: timedelta) -> None:
    """Also where the provider's clock is ahead of ours."""
    run_job(letter)
    moment = timezone.now() - ago
    report_bounce(at=moment)
    cleared(payer)
    report_bounce(at=moment)
    assert not BarredAddress.objects.get().is_barred


def test_an_older_report_that_comes_after_it_was_cleared_bars_nothing(letter: Job, payer: User) -> None:
    run_job(letter)
    report_bounce()
    cleared(payer)
    report(EventType.COMPLAINED, at=timezone.now() - 60 * MINUTE)
    assert not BarredAddress.objects.get().is_barred


def test_a_new_report_after_it_was_cleared_bars_it_again(letter: Job, payer: User) -> None:
    run_job(letter)
    report_bounce()
    moment = cleared(payer).cleared_at
    assert moment is not None
    report_bounce(at=moment + MINUTE)
    barred = BarredAddress.objects.get()
    assert barred.is_barred
    assert (barred.cleared_by, barred.clearing_reason) == (None, "")


def test_a_bounce_that_comes_before_our_mark_is_not_overwritten(
    letter: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_send: Callable[..., str] = emails.send

    def send(*arguments: Any) -> str:
        provider_id = really_send(*arguments)
        report(EventType.BOUNCED, metadata={"message_id": delivery().message_id})
        return provider_id

    monkeypatch.setattr(emails, "send", send)
    run_job(letter)
    assert (letter.state, delivery().status) == ("completed", "bounced")
    assert delivery().provider_id


def test_a_bounce_of_an_email_whose_worker_died_keeps_it_from_going_out_again(
    letter: Job, provider: MailProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: Any, **more: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("settlements.deliveries.mark_sent", die)
        run_job(letter)
    report(EventType.BOUNCED, metadata={"message_id": delivery().message_id})
    run_job(letter)
    assert (letter.reason, len(provider.emails)) == ("skipped: already sent", 1)
    assert ReminderDelivery.objects.get().status == "delivered"


def test_a_bounce_of_an_email_that_seemed_not_to_be_taken_keeps_it_from_going_out_again(
    letter: Job, provider: MailProvider
) -> None:
    provider.hangs_up()  # after it read the e-mail
    run_job(letter)
    assert delivery().status == "deferred"
    report(EventType.BOUNCED, metadata={"message_id": delivery().message_id})
    run_job(letter)
    assert letter.reason == "skipped: already sent"
    assert ReminderDelivery.objects.get().status == "delivered"
    assert len(provider.emails) == 1


def test_a_refused_recipient_bars_the_address(letter: Job, provider: MailProvider) -> None:
    provider.refuses_the_recipient()
    run_job(letter)
    assert (letter.state, BarredAddress.objects.get().address) == ("failed", PIA)
    assert ReminderDelivery.objects.get().status == "not_delivered"
