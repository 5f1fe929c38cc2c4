"""The calls that the client wrote down, as they are written, and jobs written by earlier versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.jobs import (
    add_email_notification_job,
    add_settlement_processing_job,
    add_settlement_reminder_job,
)
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from tests.settlements.steps import domain_settings, run_soon, stored

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def owed(settlement: Settlement) -> Settlement:
    """A settlement of which everybody was told."""
    run_soon()
    mail.outbox.clear()
    return settlement


def clients_email(settlement: Settlement) -> Job:
    """The first example, with the id of a settlement of ours."""
    return add_email_notification_job(
        user_id="123",
        email="user@example.com",
        subject="Settlement Reminder",
        template_type="settlement_reminder",
        template_data={"settlement_id": str(settlement.pk), "amount": 50, "currency": "USD"},
    )


def only_email() -> Any:
    [message] = mail.outbox
    return message


# The e-mail -----------------------------------------------------------------------------------------


def test_the_clients_email_arrives_at_the_given_address(owed: Settlement) -> None:
    run_job(clients_email(owed))
    assert only_email().to == ["user@example.com"]


def test_the_clients_email_has_the_given_subject(owed: Settlement) -> None:
    run_job(clients_email(owed))
    assert only_email().subject == "Settlement Reminder"


def test_the_clients_email_says_what_the_settlements_row_says(owed: Settlement) -> None:
    run_job(clients_email(owed))
    assert "€100.00" in only_email().body
    assert "$50" not in only_email().body


def test_the_clients_email_arrives_if_its_user_is_the_payer(
    make_settlement: MakeSettlement, payee: User
) -> None:
    user = User.objects.create_user("customer", "customer@example.com", pk=123)
    settlement = make_settlement(payer=user, payee=payee)
    run_job(clients_email(settlement))
    assert [message.to for message in mail.outbox] == [["user@example.com"]]


def test_the_clients_email_arrives_without_a_settlement_as_it_was_given() -> None:
    job = add_email_notification_job(
        user_id="123",
        email="user@example.com",
        subject="Settlement Reminder",
        template_type="settlement_reminder",
        template_data={"amount": 50, "currency": "USD"},
    )
    run_job(job)
    assert "$50.00" in only_email().body


def test_the_clients_email_does_not_remind_a_stranger(owed: Settlement) -> None:
    User.objects.create_user("stranger", "stranger@example.com", pk=123)
    job = clients_email(owed)
    run_job(job)
    assert job.reason == "skipped: user 123 is not the payer of the settlement"


def test_the_clients_email_is_not_sent_about_a_debt_that_is_paid(
    owed: Settlement, make_payment: MakePayment
) -> None:
    make_payment(owed, status="completed")
    job = clients_email(owed)
    run_job(job)
    assert job.reason == "skipped: nothing is left to pay"


def test_the_clients_email_is_not_sent_while_reminders_are_paused(owed: Settlement) -> None:
    Settlement.objects.update(reminders_paused=True)
    job = clients_email(owed)
    run_job(job)
    assert job.reason == "skipped: reminders are paused"


def test_the_clients_email_about_a_settlement_that_never_was_is_not_sent(owed: Settlement) -> None:
    job = add_email_notification_job(
        user_id="123",
        email="user@example.com",
        subject="Settlement Reminder",
        template_type="settlement_reminder",
        template_data={"settlement_id": "456", "amount": 50, "currency": "USD"},
    )
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


# The reminder and the processing --------------------------------------------------------------------


def test_the_clients_reminder_goes_to_the_payer(owed: Settlement, payer: User) -> None:
    ReminderDelivery.objects.all().delete()
    add_settlement_reminder_job(owed.pk, str(payer.pk), owed.due_date, "initial")
    run_soon()
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["payer@example.com"], EmailDelivery.objects.latest("pk").subject)
    ]


def test_the_clients_reminder_counts_as_delivered(owed: Settlement, payer: User) -> None:
    ReminderDelivery.objects.all().delete()
    add_settlement_reminder_job(str(owed.pk), payer.pk, owed.due_date.isoformat(), "initial")
    run_soon()
    assert ReminderDelivery.objects.get().status == "delivered"


def test_the_clients_reminder_is_not_repeated(owed: Settlement, payer: User) -> None:
    job = add_settlement_reminder_job(owed.pk, payer.pk, owed.due_date, "initial")
    run_job(job)
    assert job.reason == "skipped: this reminder went out already"


def test_the_clients_status_check_asks_about_the_payment(owed: Settlement, make_payment: MakePayment) -> None:
    make_payment(owed)
    job = add_settlement_processing_job(owed.pk, "payment_status_check")
    Job.objects.exclude(pk=job.pk).delete()
    run_job(job)
    assert (job.state, job.failures) == ("waiting", 0)  # it comes again until the payment is settled


def test_the_clients_status_check_without_a_payment_says_so(owed: Settlement) -> None:
    job = add_settlement_processing_job(str(owed.pk), "payment_status_check")
    run_job(job)
    assert job.reason == "skipped: no payment is unsettled"


# Jobs of earlier versions ---------------------------------------------------------------------------


def test_an_email_job_of_an_earlier_version_is_sent(owed: Settlement, payer: User) -> None:
    job = enqueue(
        "email.notification",
        user_id=payer.pk,
        email="payer@example.com",
        email_subject="",
        template_type="reminder_final",
        template_data={"settlement_id": str(owed.pk), "amount": "1.00", "currency": "EUR"},
    )
    run_job(job)
    assert "€100.00" in only_email().body


def test_an_email_job_of_an_earlier_version_about_a_paid_debt_is_skipped(
    owed: Settlement, payer: User, make_payment: MakePayment
) -> None:
    make_payment(owed, status="completed")
    job = enqueue(
        "email.notification",
        user_id=payer.pk,
        email="payer@example.com",
        email_subject="",
        template_type="reminder_final",
        template_data={"settlement_id": str(owed.pk)},
    )
    run_job(job)
    assert job.reason == "skipped: nothing is left to pay"


def test_an_email_job_of_an_earlier_version_without_a_user_is_sent() -> None:
    job = enqueue(
        "email.notification",
        user_id=None,
        email="someone@example.com",
        email_subject="Hello",
        template_type="payment_received",
        template_data={"amount": 5, "currency": "EUR"},
    )
    run_job(job)
    assert only_email().to == ["someone@example.com"]


@pytest.mark.parametrize("more", [{}, {"step": 0}, {"step": 0, "planned": True}])
def test_a_reminder_job_of_an_earlier_version_goes_out(
    owed: Settlement, payer: User, more: dict[str, Any]
) -> None:
    ReminderDelivery.objects.all().delete()
    job = enqueue(
        "reminders.send",
        subject=owed,
        settlement_id=str(owed.pk),
        user_id=payer.pk,
        due_date=owed.due_date.isoformat(),
        reminder_type="initial",
        **more,
    )
    run_job(job)
    run_soon()
    assert only_email().to == ["payer@example.com"]


@pytest.mark.parametrize("event", ["settlement_updated", "", None])
def test_a_notification_job_of_an_earlier_version_tells_both(owed: Settlement, event: str | None) -> None:
    payload = {"settlement_id": str(owed.pk)} | ({} if event is None else {"event": event})
    run_job(enqueue("settlement.settlement_notification", subject=owed, **payload))
    run_soon()
    assert sorted(message.to[0] for message in mail.outbox) == ["payee@example.com", "payer@example.com"]


@pytest.mark.parametrize("more", [{}, {"reopen": True}, {"reopen": False}])
def test_a_completion_job_of_an_earlier_version_completes(owed: Settlement, more: dict[str, Any]) -> None:
    Payment.objects.bulk_create([Payment(settlement=owed, amount=Money(100, "EUR"), status="completed")])
    run_job(enqueue("settlement.auto_complete", subject=owed, settlement_id=str(owed.pk), **more))
    assert stored(owed).status == "completed"


@pytest.mark.parametrize(("reopen", "status"), [(True, "pending"), (False, "completed")])
def test_a_completion_job_of_an_earlier_version_reopens_as_it_was_told(
    owed: Settlement, make_payment: MakePayment, reopen: bool, status: str
) -> None:
    payment = make_payment(owed, status="completed")
    run_soon()
    Payment.objects.filter(pk=payment.pk).update(status="failed")
    run_job(enqueue("settlement.auto_complete", subject=owed, settlement_id=str(owed.pk), reopen=reopen))
    assert stored(owed).status == status


def test_a_periodic_reminder_job_of_an_earlier_version_sets_the_plan_up(owed: Settlement) -> None:
    Job.objects.all().delete()
    run_job(enqueue("settlement.periodic_reminder", subject=owed, settlement_id=str(owed.pk)))
    assert Job.objects.filter(processor="reminders.send").count() == 5


def test_a_check_job_of_an_earlier_version_asks_about_every_payment(
    owed: Settlement, make_payment: MakePayment
) -> None:
    for _ in range(3):
        make_payment(owed, amount=Money(10, "EUR"), created_at=timezone.now() - timedelta(hours=1))
    Job.objects.all().delete()
    job = enqueue("settlement.payment_status_check", subject=owed, settlement_id=str(owed.pk))
    run_job(job)
    checks = Job.objects.filter(processor="settlement.payment_status_check").waiting()
    assert checks.count() == 3
