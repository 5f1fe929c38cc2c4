"""Input that is no good is refused at once, by name, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from jobqueue.models import Job
from settlements.exceptions import InvalidDecision, InvalidStatus, PaymentNotFound
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["nonsense", "", "COMPLETED", "refunded"])
def test_a_status_that_a_settlement_cannot_have_is_refused(settlement: Settlement, status: str) -> None:
    settlement.status = status
    with pytest.raises(InvalidStatus, match="allowed are: pending, partially_paid, completed, cancelled"):
        settlement.save()
    settlement.refresh_from_db()
    assert settlement.status == "pending"


def test_a_status_that_a_payment_cannot_have_is_refused(settlement: Settlement) -> None:
    with pytest.raises(InvalidStatus, match="'cancelled' of a payment"):
        Payment.objects.create(settlement=settlement, amount=5, status="cancelled")
    assert not Payment.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_decision_needs_a_reason(settlement: Settlement, payer: User, reason: Any) -> None:
    with pytest.raises(InvalidDecision, match="needs a reason"):
        settlement.by_decision_of(payer, reason)


@pytest.mark.parametrize("user", [None, "bob", 7])
def test_a_decision_needs_somebody_who_takes_it(settlement: Settlement, user: Any) -> None:
    with pytest.raises(InvalidDecision, match="taken by a user"):
        settlement.by_decision_of(user, "paid in cash")


@pytest.mark.parametrize("payment_id", ["zz", 7, object()])
def test_a_payment_id_that_is_none_is_refused(settlement: Settlement, payment_id: Any) -> None:
    jobs = Job.objects.count()
    with pytest.raises(PaymentNotFound, match="it must be a UUID"):
        add_settlement_processing_job(settlement.pk, "payment_status_check", payment_id=payment_id)
    assert Job.objects.count() == jobs
