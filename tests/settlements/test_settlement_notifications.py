"""`settlement_notification`: who is told of what, and once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement
from settlements.processors import settlement as settlement_processor
from tests.settlements.settlement_steps import MakePayment, MakeSettlement
from tests.settlements.steps import (
    EMAIL,
    NOTIFICATION,
    domain_settings,
    emails_asked_for,
    jobs_of,
    only,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def notify(settlement: Settlement, event: str | None = None, payment: Payment | None = None) -> Job:
    """Run a notification about the event."""
    job = add_settlement_processing_job(
        settlement.pk, "settlement_notification", event=event, payment_id=payment and payment.pk
    )
    run_job(job)
    return job


BOTH = ["payee@example.com", "payer@example.com"]


@pytest.mark.parametrize(
    ("event", "status", "recipients"),
    [
        ("settlement_created", "pending", BOTH),
        ("settlement_updated", "pending", BOTH),
        ("settlement_completed", "completed", BOTH),
        ("settlement_cancelled", "cancelled", BOTH),
        ("settlement_reopened", "pending", BOTH),
        ("payment_received", "pending", ["payee@example.com"]),
        ("payment_failed", "pending", ["payer@example.com"]),
        ("payment_refunded", "pending", BOTH),
    ],
)
def test_an_event_is_told_to_the_people_it_concerns(
    settlement: Settlement, event: str, status: str, recipients: list[str]
) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    payment = None
    if event.startswith("payment_"):
        happened = event.removeprefix("payment_").replace("received", "completed")
        payment = Payment(settlement=settlement, amount=Money(5, "EUR"), status=happened)
        Payment.objects.bulk_create([payment])
    notify(settlement, event, payment)
    assert emails_asked_for(settlement) == [(event, recipient) for recipient in recipients]


@pytest.mark.parametrize("event", ["payment_received", "payment_failed", "payment_refunded"])
def test_an_event_of_a_payment_without_a_payment_tells_nobody(settlement: Settlement, event: str) -> None:
    job = notify(settlement, event)
    assert job.reason == "skipped: no payment is named"
    assert emails_asked_for(settlement) == []


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("pending", "settlement_updated"),
        ("partially_paid", "settlement_updated"),
        ("completed", "settlement_completed"),
        ("cancelled", "settlement_cancelled"),
    ],
)
def test_without_an_event_the_status_is_told(settlement: Settlement, status: str, event: str) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    notify(settlement)
    assert {template_type for template_type, _ in emails_asked_for(settlement)} == {event}


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        ("settlement_completed", "pending", "settlement is pending again"),
        ("settlement_cancelled", "pending", "settlement is pending again"),
        ("settlement_reopened", "completed", "settlement is completed again"),
        ("settlement_created", "cancelled", "settlement cancelled"),
        ("settlement_updated", "cancelled", "settlement cancelled"),
    ],
)
def test_an_event_that_is_no_news_any_more_is_skipped(
    settlement: Settlement, event: str, status: str, reason: str
) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    assert notify(settlement, event).reason == f"skipped: {reason}"
    assert jobs_of(settlement, EMAIL) == []


def test_the_email_knows_the_settlement_and_the_payment(
    settlement: Settlement, make_payment: MakePayment, payee: User
) -> None:
    payment = make_payment(settlement, status="completed")
    notify(settlement, "payment_received", payment)
    assert only(settlement, EMAIL).payload == {
        "user_id": payee.pk,
        "template_type": "payment_received",
        "template_data": {"settlement_id": str(settlement.pk), "payment_id": str(payment.pk)},
    }


@pytest.mark.parametrize(
    ("event", "status", "called_for"),
    [
        ("payment_received", "pending", "completed"),
        ("payment_received", "refunded", "completed"),
        ("payment_failed", "processing", "failed"),
        ("payment_refunded", "completed", "refunded"),
    ],
)
def test_news_of_a_payment_that_are_not_so_any_more_are_skipped(
    settlement: Settlement, make_payment: MakePayment, event: str, status: str, called_for: str
) -> None:
    payment = make_payment(settlement, status=status)
    assert notify(settlement, event, payment).reason == f"skipped: payment is {status}, not {called_for}"


def test_a_failed_payment_is_no_news_once_nothing_is_owed(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    failed = make_payment(settlement, status="failed")
    make_payment(settlement, status="completed")
    assert notify(settlement, "payment_failed", failed).reason == "skipped: nothing is left to pay"


def test_a_notification_that_runs_twice_asks_for_each_email_once(settlement: Settlement) -> None:
    job = notify(settlement, "settlement_updated")
    for email in waiting_of(settlement, EMAIL):
        run_job(email)
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=2)
    job.refresh_from_db()
    run_job(job)
    assert emails_asked_for(settlement) == [("settlement_updated", address) for address in BOTH]


def test_a_notification_that_failed_half_way_asks_for_each_email_once(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = settlement_processor.add_letter_job
    calls: list[object] = []

    def fail_the_second_time(*arguments: object, **options: object) -> Job:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("the disk is full")
        return add(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(settlement_processor, "add_letter_job", fail_the_second_time)
    job = notify(settlement, "settlement_updated")
    assert (job.state, jobs_of(settlement, EMAIL)) == (Job.State.WAITING, [])
    run_job(job)
    assert emails_asked_for(settlement) == [("settlement_updated", address) for address in BOTH]


def test_somebody_who_owes_money_to_himself_is_told_once(
    make_settlement: MakeSettlement, payer: User
) -> None:
    settlement = make_settlement(payee=payer)
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_somebody_without_an_address_is_left_out(settlement: Settlement, payee: User) -> None:
    User.objects.filter(pk=payee.pk).update(email="")
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_nobody_with_an_address_is_skipped_with_the_reason(settlement: Settlement) -> None:
    User.objects.update(email="")
    assert (
        notify(settlement, "settlement_updated").reason == "skipped: nobody concerned has an e-mail address"
    )


def test_a_broken_address_does_not_keep_the_other_from_being_told(
    settlement: Settlement, payee: User
) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_a_broken_address_fails_the_job_and_says_whose_it_is(settlement: Settlement, payee: User) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    job = notify(settlement, "settlement_updated")
    assert (job.state, job.attempt) == (Job.State.FAILED, 1)
    assert f"user {payee.pk}" in job.reason


def test_once_the_address_is_mended_a_retry_tells_only_the_one_who_was_left_out(
    settlement: Settlement, payee: User
) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    job = notify(settlement, "settlement_updated")
    User.objects.filter(pk=payee.pk).update(email="mended@example.com")
    job.retry()
    run_job(job)
    assert emails_asked_for(settlement) == [
        ("settlement_updated", "mended@example.com"),
        ("settlement_updated", "payer@example.com"),
    ]


def test_a_notification_about_a_deleted_settlement_is_skipped(settlement: Settlement) -> None:
    job = add_settlement_processing_job(settlement.pk, "settlement_notification")
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


def test_a_notification_about_a_deleted_payment_is_skipped(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed")
    job = next(job for job in jobs_of(settlement, NOTIFICATION) if job.payload.get("payment_id"))
    payment.delete()
    run_job(job)
    assert job.reason == "skipped: payment was deleted"
