"""Mailboxes that refuse for good, bounces and complaints; and when a reminder counts as delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.testing import at, run_job
from settlements import emails
from settlements.addresses import bar
from settlements.jobs import add_email_notification_job, add_settlement_reminder_job
from settlements.models import BarredAddress, EmailDelivery, ReminderDelivery, Settlement
from settlements.planning import plan_reminders
from settlements.reconcile import reconcile
from tests.settlements.smtp import BusyMailbox, Mailbox, RefusingContent, UnknownMailbox, smtp_server
from tests.settlements.steps import EMAIL, domain_settings, only, reminders_of, run_soon, waiting_of

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FOREVER = 10**6
PIA = "payer@example.com"
Serve = Callable[[Mailbox], Mailbox]
BARRED = "skipped: the address is barred, because it refused or complained about an e-mail"

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SETTLEMENTS = domain_settings()
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def serve(settings: LazySettings) -> Iterator[Serve]:
    """Runs an SMTP server for a mailbox and lets Django send through it."""
    with ExitStack() as servers:

        def start(mailbox: Mailbox) -> Mailbox:
            settings.EMAIL_HOST, settings.EMAIL_PORT = servers.enter_context(smtp_server(mailbox))
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
            settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
            return mailbox

        yield start


class Says(Mailbox):
    """Answers every recipient with this."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.said = answer

    def answer(self, address: str) -> str:
        return self.said


def letter_of(settlement: Settlement, stage: tuple[str, int] = ("initial", 0)) -> Job:
    """The e-mail of a reminder, decided on just now."""
    run_job(reminders_of(settlement)[stage])
    return only(settlement, EMAIL)


def reminder_status() -> str:
    return ReminderDelivery.objects.get().status


# Refused for good -----------------------------------------------------------------------------------


def test_an_unknown_mailbox_fails_the_email_at_once(serve: Serve, settlement: Settlement) -> None:
    mailbox = serve(UnknownMailbox())
    job = letter_of(settlement)
    run_job(job)
    assert (job.state, mailbox.tries) == ("failed", 1)
    assert EmailDelivery.objects.get(job=job).status == "failed"


def test_an_unknown_mailbox_bars_its_address(serve: Serve, settlement: Settlement) -> None:
    serve(UnknownMailbox())
    run_job(letter_of(settlement))
    barred = BarredAddress.objects.get()
    assert (barred.address, barred.cause, barred.is_barred) == (PIA, "refused", True)
    assert "550 5.1.1" in barred.detail
    assert "@" not in barred.detail


def test_the_next_reminders_to_it_are_not_even_tried(serve: Serve, settlement: Settlement) -> None:
    mailbox = serve(UnknownMailbox())
    run_job(letter_of(settlement))
    with at(settlement.due_date + 4 * DAY):
        for job in reminders_of(settlement).values():
            run_job(job)
            assert job.reason == BARRED
    assert mailbox.tries == 1


def test_other_letters_to_it_are_not_sent_either(serve: Serve, settlement: Settlement, payer: User) -> None:
    mailbox = serve(UnknownMailbox())
    run_job(letter_of(settlement))
    job = add_email_notification_job(payer.pk, PIA.upper(), "", "payment_failed", {})
    run_job(job)
    assert (job.reason, mailbox.tries) == (BARRED, 1)


def test_the_letters_of_the_other_one_still_go(serve: Serve, settlement: Settlement) -> None:
    mailbox = serve(Mailbox())
    bar(PIA, "bounced", "550", using="default")
    run_soon()
    assert {message["To"] for message in mailbox.messages} == {"payee@example.com"}


def test_what_an_operator_clears_gets_letters_again(
    serve: Serve, settlement: Settlement, payer: User
) -> None:
    serve(UnknownMailbox())
    run_job(letter_of(settlement))
    BarredAddress.objects.get().clear(payer, "the mailbox is there now")
    mailbox = serve(Mailbox())
    run_job(letter_of(settlement, ("follow_up", 1)))
    assert len(mailbox.messages) == 1


def test_what_was_cleared_is_barred_again_if_it_refuses_again(
    serve: Serve, settlement: Settlement, payer: User
) -> None:
    serve(UnknownMailbox())
    run_job(letter_of(settlement))
    BarredAddress.objects.get().clear(payer, "the mailbox is there now")
    run_job(letter_of(settlement, ("follow_up", 1)))
    assert BarredAddress.objects.get().is_barred


def test_a_changed_address_is_free(serve: Serve, settlement: Settlement, payer: User) -> None:
    serve(UnknownMailbox())
    run_job(letter_of(settlement))
    User.objects.filter(pk=payer.pk).update(email="new@example.com")
    mailbox = serve(Mailbox())
    run_job(letter_of(settlement, ("follow_up", 1)))
    assert [message["To"] for message in mailbox.messages] == ["new@example.com"]


@pytest.mark.parametrize("address", ["PAYER@EXAMPLE.COM", "pia@M\u00dcLLER.example"])
def test_small_and_large_letters_of_an_address_are_the_same(
    settlement: Settlement, payer: User, address: str
) -> None:
    User.objects.filter(pk=payer.pk).update(email=address)
    bar(address.swapcase(), "bounced", "550", using="default")
    job = reminders_of(settlement)["initial", 0]
    run_job(job)
    assert job.reason == BARRED


@pytest.mark.parametrize(
    "answer", ["550 5.7.1 refused by policy", "554 5.7.1 spam", "550 5.7.26 DMARC", "550 relaying denied"]
)
def test_a_refusal_for_another_reason_bars_nobody(serve: Serve, settlement: Settlement, answer: str) -> None:
    serve(Says(answer))
    job = letter_of(settlement)
    run_job(job)
    assert job.state == "failed"
    assert not BarredAddress.objects.exists()


def test_refused_content_bars_nobody(serve: Serve, settlement: Settlement) -> None:
    serve(RefusingContent("554 5.6.0 bad content"))
    run_job(letter_of(settlement))
    assert not BarredAddress.objects.exists()


def test_a_full_mailbox_bars_nobody(serve: Serve, settlement: Settlement) -> None:
    serve(Says("552 5.2.2 mailbox full"))
    run_job(letter_of(settlement))
    assert not BarredAddress.objects.exists()


# A reminder is delivered when its e-mail was taken ------------------------------------------------------


def test_a_reminder_is_on_its_way_while_its_email_waits(serve: Serve, settlement: Settlement) -> None:
    serve(BusyMailbox(FOREVER))
    job = letter_of(settlement)
    assert reminder_status() == "on_its_way"
    run_job(job)
    assert reminder_status() == "on_its_way"


def test_a_reminder_is_delivered_when_its_email_was_taken(serve: Serve, settlement: Settlement) -> None:
    serve(BusyMailbox(2))
    job = letter_of(settlement)
    for status in ("on_its_way", "on_its_way", "delivered"):
        run_job(job)
        assert reminder_status() == status


def break_templates(patch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> Any:
        raise ZeroDivisionError("a bug of ours")

    patch.setattr(emails, "render", broken)


def test_a_reminder_was_not_delivered_when_its_email_is_given_up(
    serve: Serve, settlement: Settlement
) -> None:
    serve(BusyMailbox(FOREVER))
    job = letter_of(settlement)
    run_job(job)
    with at(timezone.now() + 25 * HOUR):
        run_job(job)
    assert (job.state, reminder_status()) == ("failed", "not_delivered")


@pytest.mark.parametrize("retry_for", [0, 60])
def test_a_reminder_was_not_delivered_when_its_email_failed_by_an_error_of_ours(
    settlement: Settlement, settings: LazySettings, retry_for: int
) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=retry_for)
    job = letter_of(settlement)
    with pytest.MonkeyPatch.context() as patch:
        break_templates(patch)
        statuses = []
        for _ in range(4):
            run_job(job)
            statuses.append(reminder_status())
    assert statuses == ["on_its_way"] * 3 + ["not_delivered"]


def test_without_retries_for_refusals_a_reminder_was_not_delivered_after_four_tries(
    serve: Serve, settlement: Settlement, settings: LazySettings
) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=0)
    serve(BusyMailbox(FOREVER))
    job = letter_of(settlement)
    for _ in range(4):
        run_job(job)
    assert (job.state, reminder_status()) == ("failed", "not_delivered")


def test_what_is_on_its_way_is_not_missing(serve: Serve, settlement: Settlement) -> None:
    serve(BusyMailbox(FOREVER))
    run_job(letter_of(settlement))
    before = Job.objects.count()
    reconcile(full=True)
    plan_reminders(settlement, using="default")
    settlement.save()
    assert Job.objects.count() == before


def test_what_is_on_its_way_is_not_missing_when_its_jobs_row_is_gone(
    serve: Serve, settlement: Settlement
) -> None:
    serve(BusyMailbox(FOREVER))
    run_job(letter_of(settlement, ("final", 0)))
    Job.objects.filter(processor="reminders.send").delete()
    reconcile(full=True)
    assert ("final", 0) not in reminders_of(settlement)


@pytest.fixture
def given_up(serve: Serve, settlement: Settlement) -> Job:
    """The e-mail of the initial reminder, which no server took."""
    serve(BusyMailbox(FOREVER))
    job = letter_of(settlement)
    run_job(job)
    with at(timezone.now() + 25 * HOUR):
        run_job(job)
    assert job.state == "failed"
    return job


def by_hand(settlement: Settlement) -> Job:
    job = add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "initial")
    run_job(job)
    return job


def test_a_reminder_that_failed_can_be_asked_for_by_hand(
    serve: Serve, settlement: Settlement, given_up: Job
) -> None:
    mailbox = serve(Mailbox())
    by_hand(settlement)
    by_hand(settlement)
    for job in waiting_of(settlement, EMAIL):
        run_job(job)
    assert (len(mailbox.messages), reminder_status()) == (1, "delivered")


@pytest.mark.parametrize("sent_first", [True, False])
def test_retrying_its_old_email_as_well_doubles_nothing(
    serve: Serve, settlement: Settlement, given_up: Job, sent_first: bool
) -> None:
    mailbox = serve(Mailbox())
    by_hand(settlement)
    [new] = waiting_of(settlement, EMAIL)
    given_up.retry()
    for job in (new, given_up) if sent_first else (given_up, new):
        run_job(job)
    assert (len(mailbox.messages), reminder_status()) == (1, "delivered")


def test_a_retried_email_that_waits_again_is_on_its_way(
    serve: Serve, settlement: Settlement, given_up: Job
) -> None:
    given_up.retry()
    run_job(given_up)
    assert reminder_status() == "on_its_way"
    assert by_hand(settlement).reason == "skipped: this reminder is on its way"


def test_a_retried_email_delivers_its_reminder(serve: Serve, settlement: Settlement, given_up: Job) -> None:
    mailbox = serve(Mailbox())
    given_up.retry()
    run_job(given_up)
    assert (len(mailbox.messages), reminder_status()) == (1, "delivered")
