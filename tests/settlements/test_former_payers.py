"""Payments that a former payer made: no letter says that the new one made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.models import Payment, Settlement
from tests.settlements.steps import domain_settings, emails_sent, run_soon

MakePayment = Callable[..., Payment]
EMIL, OLGA = "payee@example.com", "olga@example.com"

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def old(settlement: Settlement, make_payment: MakePayment) -> Payment:
    """What the former payer paid, on its way; everybody was told that another one pays now."""
    payment = make_payment(settlement, amount=settlement.amount, status="processing")
    run_soon()
    settlement.payer = User.objects.create_user("olga", OLGA)
    settlement.save()
    run_soon()
    mail.outbox.clear()
    return payment


def move(payment: Payment, **values: Any) -> None:
    payment = Payment.objects.get(pk=payment.pk)
    for name, value in values.items():
        setattr(payment, name, value)
    payment.save()
    run_soon()


def test_that_the_payment_of_a_former_payer_failed_is_not_told_to_the_new_one(old: Payment) -> None:
    move(old, status="failed")
    assert mail.outbox == []


def test_that_the_payment_of_a_new_payer_failed_is_told(old: Payment, make_payment: MakePayment) -> None:
    make_payment(old.settlement, amount=Money(5, "EUR"), status="failed")
    run_soon()
    assert ("payment_failed", OLGA) in emails_sent()


@pytest.mark.parametrize("values", [{"status": "completed"}, {"status": "refunded"}])
def test_no_letter_says_that_the_new_payer_made_the_payment_of_the_former_one(
    old: Payment, values: dict[str, Any]
) -> None:
    move(old, **values)
    assert {message.to[0] for message in mail.outbox} == {OLGA, EMIL}
    for message in mail.outbox:
        body = message.body.replace("\n", " ")
        assert "olga" not in body.replace("Hello olga", "")
        assert not any(text in body for text in ("Your payment", "your payment", "You have paid"))
