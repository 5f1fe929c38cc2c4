"""What a letter that is true says, and to whom it goes."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core import mail
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.letters import LETTERS
from settlements.models import EmailDelivery, Payment, ReminderDelivery
from tests.settlements.steps import domain_settings
from tests.settlements.truth_steps import cancel, decided, save

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.mark.parametrize("template_type", LETTERS)
def test_a_letter_goes_to_the_address_that_the_person_has_now(template_type: str) -> None:
    world = decided(template_type)
    mail.outbox.clear()
    User.objects.filter(pk=world.person.pk).update(email="new@example.com")
    run_job(world.job)
    assert [message.to for message in mail.outbox] == [["new@example.com"]]


@pytest.mark.parametrize("template_type", LETTERS)
def test_a_letter_says_what_is_owed_now(template_type: str) -> None:
    world = decided(template_type)
    mail.outbox.clear()
    world.change_settlement(amount=500, description="Rent for May")
    Payment.objects.bulk_create(
        [Payment(settlement=world.settlement, amount=Money(123, "EUR"), status="completed")]
    )
    run_job(world.job)
    if mail.outbox:
        [message] = mail.outbox
        text = str(message.body)
        assert "Rent for May" in text
        assert "€100.00" not in text.replace("€100.00 has", "")


@pytest.mark.parametrize("template_type", LETTERS)
def test_what_a_letter_carries_are_ids(template_type: str) -> None:
    payload = decided(template_type).job.payload
    assert "@" not in str(payload)
    # No amount: by the names, for a number may be that of a person.
    assert set(payload.get("reminder") or {}) <= {"reminder_type", "step", "due_date", "planned_at"}
    assert set(payload) <= {"user_id", "template_type", "template_data", "reminder"}
    assert set(payload["template_data"]) <= {"settlement_id", "payment_id"}


def test_a_reminder_that_was_skipped_was_not_delivered() -> None:
    world = decided("reminder_final")
    cancel(world)
    run_job(world.job)
    assert ReminderDelivery.objects.get().status == "not_delivered"


def test_a_reminder_that_the_mail_server_took_was_delivered() -> None:
    world = decided("reminder_final")
    assert ReminderDelivery.objects.get().status == "on_its_way"
    run_job(world.job)
    assert ReminderDelivery.objects.get().status == "delivered"


def test_a_letter_that_was_sent_is_not_skipped_when_its_job_runs_again() -> None:
    world = decided("reminder_final")
    run_job(world.job)
    cancel(world)
    Job.objects.filter(pk=world.job.pk).update(state="failed")
    world.job.refresh_from_db()
    world.job.retry()
    run_job(world.job)
    assert world.job.reason == "skipped: already sent"
    assert EmailDelivery.objects.get(job=world.job).status == "sent"


def test_what_somebody_completed_by_hand_is_not_called_paid_in_full() -> None:
    world = decided("settlement_completed")
    mail.outbox.clear()
    Payment.objects.all().delete()
    save(world.settlement, status="pending")
    save(world.settlement, status="completed")
    run_job(world.job)
    [message] = mail.outbox
    assert message.subject == "Marked as paid: Rent"
    assert "“Rent” was marked as paid." in str(message.body)
    assert "in full" not in str(message.body)


def test_a_refund_whose_settlement_has_not_followed_yet_says_what_is_owed() -> None:
    world = decided("payment_refunded")
    mail.outbox.clear()
    world.change_settlement(status="completed", announced_status="completed")
    run_job(world.job)
    [message] = mail.outbox
    text = " ".join(str(message.body).split())
    assert "€100.00 is still to be paid" in text
    assert "Nothing is left to pay" not in text


def test_a_payment_of_which_a_part_went_back_since_says_so() -> None:
    world = decided("payment_received")
    mail.outbox.clear()
    world.change_payment(refunded_amount=10)
    run_job(world.job)
    [message] = mail.outbox
    text = " ".join(str(message.body).split())
    assert "Pia paid you €40.00 for “Rent”. €10.00 of it went back since. €70.00 is still to be paid" in text
