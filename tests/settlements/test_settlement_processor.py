"""`auto_complete`: the status follows the payments."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from django.db import IntegrityError
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, transitions
from jobqueue.testing import run_job
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.performing import perform
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller
from settlements.jobs import add_settlement_processing_job
from settlements.models import Discrepancy, Payment, Settlement
from tests.settlements.settlement_steps import MakePayment, MakeSettlement, status_of
from tests.settlements.steps import (
    REMINDER,
    at_once,
    domain_settings,
    emails_sent,
    events_of,
    run_soon,
    stored,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def complete(settlement: Settlement) -> Job:
    """Run `auto_complete` for the settlement."""
    job = add_settlement_processing_job(settlement.pk, "auto_complete")
    run_job(job)
    return job


@pytest.mark.parametrize(
    ("payments", "status"),
    [
        ([], "pending"),
        ([("completed", 100)], "completed"),
        ([("completed", 40)], "partially_paid"),
        ([("completed", 40), ("completed", 60)], "completed"),
        ([("completed", 99), ("completed", "0.99")], "partially_paid"),
        ([("completed", "33.33"), ("completed", "33.33"), ("completed", "33.34")], "completed"),
        ([("completed", 100), ("completed", 50)], "completed"),
        ([("pending", 100)], "pending"),
        ([("processing", 100)], "pending"),
        ([("failed", 100)], "pending"),
        ([("refunded", 100)], "pending"),
        ([("completed", 60), ("refunded", 60)], "partially_paid"),
        ([("completed", 60), ("pending", 40)], "partially_paid"),
    ],
)
def test_the_status_follows_the_completed_payments(
    settlement: Settlement, make_payment: MakePayment, payments: list[tuple[str, object]], status: str
) -> None:
    Payment.objects.bulk_create(
        [
            Payment(settlement=settlement, status=name, amount=Money(amount, "EUR"))
            for name, amount in payments
        ]
    )
    complete(settlement)
    assert status_of(settlement) == status


def test_a_completion_that_changes_nothing_says_so(settlement: Settlement) -> None:
    job = complete(settlement)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "skipped: settlement already pending")


def test_completing_tells_both_and_ends_the_reminders(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    complete(settlement)
    assert "settlement_completed" in events_of(settlement)
    assert waiting_of(settlement, REMINDER) == []


def test_completing_twice_changes_nothing_and_mails_once(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    complete(settlement)
    run_soon()
    before = (stored(settlement).updated_at, emails_sent())
    assert complete(settlement).reason == "skipped: settlement already completed"
    run_soon()
    assert (stored(settlement).updated_at, emails_sent()) == before
    assert [email for email in emails_sent() if email[0] == "settlement_completed"] == [
        ("settlement_completed", "payee@example.com"),
        ("settlement_completed", "payer@example.com"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_completions_at_the_same_moment_complete_once(
    make_settlement: MakeSettlement, make_payment: MakePayment
) -> None:
    settlement = make_settlement()
    make_payment(settlement, status="completed")
    Job.objects.all().delete()
    identity = Identity(UUID(int=3), "tests")
    jobs = [add_settlement_processing_job(settlement.pk, "auto_complete") for _ in range(4)]
    claims = transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], identity.id)
    outcomes = at_once(*[partial(perform, Claim(job, "default")) for job in claims])
    settle_and_tell(outcomes, identity, Teller())
    assert sorted(outcome.status for outcome in outcomes) == ["completed", "skipped", "skipped", "skipped"]
    assert events_of(settlement) == ["settlement_completed"]
    run_soon()
    assert emails_sent() == [
        ("settlement_completed", "payee@example.com"),
        ("settlement_completed", "payer@example.com"),
    ]


def test_a_payment_in_another_currency_counts_nothing_and_is_noted_for_operators(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(100, "USD"))
    job = complete(settlement)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "skipped: settlement already pending")
    noted = Discrepancy.objects.get()
    assert (noted.kind, noted.settlement, noted.payment) == ("currency", settlement, payment)
    assert (noted.amount, noted.currency) == (Decimal(100), "USD")


def test_a_payment_in_another_currency_is_noted_once(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(100, "USD"))
    for _ in range(2):
        complete(settlement)
    assert Discrepancy.objects.count() == 1


def test_a_payment_in_another_currency_does_not_keep_the_others_from_counting(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(100, "EUR"))
    make_payment(settlement, status="completed", amount=Money(1, "USD"))
    complete(settlement)
    assert status_of(settlement) == "completed"


def test_an_unsettled_payment_in_another_currency_does_not_matter(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    make_payment(settlement, status="failed", amount=Money(1, "USD"))
    complete(settlement)
    assert status_of(settlement) == "completed"


def test_a_settlement_completed_by_hand_stays_completed_after_a_part_payment(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    settlement.complete()
    settlement.save()
    make_payment(settlement, status="completed", amount=Money(1, "EUR"))
    run_soon()
    assert status_of(settlement) == "completed"


def test_a_cancelled_settlement_stays_cancelled(settlement: Settlement, make_payment: MakePayment) -> None:
    settlement.cancel()
    settlement.save()
    make_payment(settlement, status="completed")
    assert complete(settlement).reason == "skipped: settlement cancelled"
    assert status_of(settlement) == "cancelled"


def test_completing_a_deleted_settlement_is_skipped(settlement: Settlement) -> None:
    job = add_settlement_processing_job(settlement.pk, "auto_complete")
    Job.objects.exclude(pk=job.pk).delete()
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


def test_status_and_notification_are_one_transaction(
    settlement: Settlement, make_payment: MakePayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_payment(settlement, status="completed")
    save = Settlement.save

    def save_and_fail(self: Settlement, **options: object) -> None:
        save(self, **options)
        raise IntegrityError("the connection is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Settlement, "save", save_and_fail)
        complete(settlement)
    assert status_of(settlement) == "pending"
    assert "settlement_completed" not in events_of(settlement)
