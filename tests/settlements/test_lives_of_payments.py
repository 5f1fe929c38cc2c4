"""What payments lead to by being saved: checks, completion and news."""

from __future__ import annotations

import pytest
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Settlement
from tests.settlements.lifecycle_steps import PAYEE, PAYER, MakePayment, about_the_settlement, both
from tests.settlements.steps import (
    AUTO_COMPLETE,
    FIRST_CHECK,
    NOTIFICATION,
    STATUS_CHECK,
    about,
    domain_settings,
    emails_sent,
    events_of,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    only,
    run_soon,
    stored,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of already; no job is left of that."""
    initial_reminder_went_out(settlement)
    forget_jobs()
    return settlement


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_an_unsettled_payment_is_asked_about_after_a_while(
    known: Settlement, make_payment: MakePayment, status: str
) -> None:
    payment = make_payment(known, status=status)
    [job] = jobs_of(known)
    assert job.processor == STATUS_CHECK
    assert job.payload == {"settlement_id": str(known.pk), "payment_id": str(payment.pk)}
    assert about(job.run_at, timezone.now() + FIRST_CHECK)


def test_each_of_several_payments_has_a_check_of_its_own(
    known: Settlement, make_payment: MakePayment
) -> None:
    payments = [make_payment(known, status=status) for status in ("pending", "processing", "pending")]
    checks = jobs_of(known, STATUS_CHECK)
    assert [job.payload["payment_id"] for job in checks] == [str(payment.pk) for payment in payments]


def test_a_payment_that_starts_processing_is_asked_about(
    known: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(known, status="failed")
    forget_jobs()
    payment.status = "processing"
    payment.save()
    assert [job.processor for job in jobs_of(known)] == [STATUS_CHECK]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_completed_payment_completes_the_settlement_and_is_told_to_the_payee(
    known: Settlement, make_payment: MakePayment, is_new: bool
) -> None:
    payment = make_payment(known, status="completed" if is_new else "pending")
    if not is_new:
        Job.objects.all().delete()
        payment.status = "completed"
        payment.save()
    assert sorted(job.processor for job in jobs_of(known)) == [AUTO_COMPLETE, NOTIFICATION]
    assert events_of(known) == ["payment_received"]
    run_soon()
    assert emails_sent() == [("payment_received", PAYEE), *both("settlement_completed")]
    assert stored(known).status == "completed"


def test_a_part_payment_makes_the_settlement_partially_paid(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known, status="completed", amount=Money(30, "EUR"))
    run_soon()
    assert stored(known).status == "partially_paid"
    assert emails_sent() == [("payment_received", PAYEE), *both("settlement_updated")]


def test_part_payments_that_cover_it_together_complete_the_settlement(
    known: Settlement, make_payment: MakePayment
) -> None:
    for amount in (30, 30, 40):
        make_payment(known, status="completed", amount=Money(amount, "EUR"))
        run_soon()
    assert stored(known).status == "completed"


def test_payments_in_one_moment_complete_the_settlement_once(
    known: Settlement, make_payment: MakePayment
) -> None:
    for amount in (30, 30, 60):
        make_payment(known, status="completed", amount=Money(amount, "EUR"))
    run_soon()
    assert about_the_settlement() == both("settlement_completed")
    assert [email for email in emails_sent() if email[0].startswith("payment")] == [
        ("payment_received", PAYEE)
    ] * 3


def test_a_failed_payment_is_told_to_the_payer_alone(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    Job.objects.all().delete()
    payment.status, payment.failure_reason = "failed", "card expired"
    payment.save()
    run_soon()
    assert emails_sent() == [("payment_failed", PAYER)]
    assert "card expired" in str(mail.outbox[-1].body)
    assert stored(known).status == "pending"


def test_a_refunded_payment_reopens_the_settlement_and_is_told(
    known: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(known, status="completed")
    run_soon()
    forget_jobs()
    assert stored(known).status == "completed"
    payment.status = "refunded"
    payment.save()
    assert events_of(known) == ["payment_refunded"]
    run_soon()
    assert stored(known).status == "pending"
    assert emails_sent() == [*both("payment_refunded"), *both("settlement_reopened")]


def test_payment_jobs_are_found_among_the_settlements(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known, status="completed")
    notification = only(known, NOTIFICATION)
    assert notification.payload["payment_id"] == str(payment.pk)


def test_a_payment_story_from_first_save_to_last_email(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    for status in ("processing", "failed", "processing", "completed"):
        payment.status = status
        payment.save()
        run_soon()
    assert stored(known).status == "completed"
    assert emails_sent() == [
        ("payment_failed", PAYER),
        ("payment_received", PAYEE),
        *both("settlement_completed"),
    ]
