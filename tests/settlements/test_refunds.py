"""Money that goes back, and amounts that change: settlements are open again."""

from __future__ import annotations

import pytest
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.testing import run_job
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement
from tests.settlements.settlement_steps import MakePayment, status_of
from tests.settlements.steps import (
    REMINDER,
    domain_settings,
    emails_sent,
    forget_jobs,
    initial_reminder_went_out,
    run_soon,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def paid(settlement: Settlement, make_payment: MakePayment) -> Payment:
    """The payment that completed the settlement."""
    initial_reminder_went_out(settlement)
    payment = make_payment(settlement, status="completed")
    run_soon()
    assert status_of(settlement) == "completed"
    forget_jobs()
    return payment


def change_payment(payment: Payment, **values: object) -> None:
    """Save the payment with these values and run what that leads to."""
    for name, value in values.items():
        setattr(payment, name, value)
    payment.save()
    run_soon()


def test_a_refund_reopens_the_settlement(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert status_of(settlement) == "pending"


def test_a_refund_tells_both_what_happened(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert emails_sent() == [
        ("payment_refunded", "payee@example.com"),
        ("payment_refunded", "payer@example.com"),
        ("settlement_reopened", "payee@example.com"),
        ("settlement_reopened", "payer@example.com"),
    ]


def test_a_refund_brings_the_reminders_back(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert {job.payload["reminder_type"] for job in waiting_of(settlement, REMINDER)} >= {"final", "overdue"}


def test_a_refund_of_a_part_leaves_the_other_part_paid(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(60, "EUR"))
    part = make_payment(settlement, status="completed", amount=Money(40, "EUR"))
    run_soon()
    change_payment(part, status="refunded")
    assert status_of(settlement) == "partially_paid"


def test_a_refund_of_what_was_paid_too_much_leaves_the_settlement_completed(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    more = make_payment(settlement, status="completed", amount=Money(20, "EUR"))
    run_soon()
    change_payment(more, status="refunded")
    assert status_of(settlement) == "completed"


def test_paying_again_after_a_refund_completes_again(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    change_payment(paid, status="refunded")
    make_payment(settlement, status="completed")
    run_soon()
    assert status_of(settlement) == "completed"


def test_a_refund_of_a_part_reopens_a_settlement_completed_by_hand(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(30, "EUR"))
    run_soon()
    settlement.refresh_from_db()
    settlement.complete()
    settlement.save()
    change_payment(payment, status="refunded")
    assert status_of(settlement) == "pending"


@pytest.mark.parametrize("status", ["failed", "pending", "processing"])
def test_a_payment_that_turns_out_not_to_have_come_reopens_the_settlement(
    settlement: Settlement, paid: Payment, status: str
) -> None:
    change_payment(paid, status=status)
    assert status_of(settlement) == "pending"


def test_a_payment_corrected_downwards_reopens_the_settlement(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, amount=Money(10, "EUR"))
    assert status_of(settlement) == "partially_paid"


def test_a_payment_corrected_upwards_completes_the_settlement(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(10, "EUR"))
    run_soon()
    change_payment(payment, amount=Money(100, "EUR"))
    assert status_of(settlement) == "completed"


def test_an_old_refund_does_not_reopen_a_settlement_completed_by_hand_since(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    change_payment(paid, status="refunded")
    settlement.refresh_from_db()
    settlement.complete()
    settlement.save()
    make_payment(settlement, status="completed", amount=Money(1, "EUR"))
    run_soon()
    assert status_of(settlement) == "completed"


@pytest.mark.parametrize(("amount", "status"), [(40, "completed"), (41, "partially_paid")])
def test_a_lower_amount_may_be_covered_already(
    settlement: Settlement, make_payment: MakePayment, amount: int, status: str
) -> None:
    make_payment(settlement, status="completed", amount=Money(40, "EUR"))
    run_soon()
    settlement.refresh_from_db()
    settlement.amount = Money(amount, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == status


def test_a_higher_amount_reopens_what_payments_had_completed(settlement: Settlement, paid: Payment) -> None:
    settlement.refresh_from_db()
    settlement.amount = Money(150, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == "partially_paid"


def test_a_higher_amount_does_not_reopen_what_was_completed_by_hand(settlement: Settlement) -> None:
    settlement.complete()
    settlement.save()
    settlement.amount = Money(150, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == "completed"


@pytest.mark.parametrize(("reopen", "status"), [(None, "pending"), (True, "pending"), (False, "completed")])
def test_a_completion_asked_for_by_hand_reopens_after_a_refund_unless_told_otherwise(
    settlement: Settlement, paid: Payment, reopen: bool | None, status: str
) -> None:
    Payment.objects.filter(pk=paid.pk).update(status="refunded")
    run_job(add_settlement_processing_job(settlement.pk, "auto_complete", reopen=reopen))
    assert status_of(settlement) == status
