"""How many SQL statements a save takes with all that it leads to, BEGIN, COMMIT and savepoints counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.models import Payment, Settlement
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def new_settlement() -> Settlement:
    payer, payee = (
        User.objects.get_or_create(username=name, defaults={"email": f"{name}@example.com"})[0]
        for name in ("payer", "payee")
    )
    return Settlement(payer=payer, payee=payee, amount=Money(100, "EUR"), due_date=timezone.now() + 30 * DAY)


def saved_settlement(**values: Any) -> Settlement:
    settlement = new_settlement()
    settlement.save()
    for name, value in values.items():
        setattr(settlement, name, value)
    return settlement


def new_payment(**values: Any) -> Payment:
    return Payment(settlement=saved_settlement(), amount=Money(50, "EUR"), **values)


def saved_payment(before: dict[str, Any], **values: Any) -> Payment:
    payment = new_payment(**before)
    payment.save()
    for name, value in values.items():
        setattr(payment, name, value)
    return payment


def moved_by(verb: str) -> Callable[[], Settlement]:
    def prepare() -> Settlement:
        settlement = saved_settlement()
        getattr(settlement, verb)()
        return settlement

    return prepare


def with_another_payer() -> Settlement:
    return saved_settlement(payer=User.objects.create_user("olga", "olga@example.com"))


SAVES: dict[str, tuple[Callable[[], Any], int]] = {
    "a new settlement": (new_settlement, 23),
    "a settlement without a change": (saved_settlement, 5),
    "another description": (lambda: saved_settlement(description="Rent"), 9),
    "another amount": (lambda: saved_settlement(amount=Money(90, "EUR")), 15),
    "reminders paused": (lambda: saved_settlement(reminders_paused=True), 5),
    "completed by hand": (moved_by("complete"), 21),
    "cancelled": (moved_by("cancel"), 21),
    "another payer": (with_another_payer, 22),
    "a new payment": (new_payment, 10),
    "a new payment that is completed": (lambda: new_payment(status="completed"), 15),
    "a payment without a change": (lambda: saved_payment({}), 5),
    "a payment is completed": (lambda: saved_payment({}, status="completed"), 17),
    "a payment fails": (lambda: saved_payment({}, status="failed"), 11),
    "a payment is refunded": (lambda: saved_payment({"status": "completed"}, status="refunded"), 17),
    "a part is refunded": (lambda: saved_payment({"status": "completed"}, refunded_amount=5), 17),
}


@pytest.mark.parametrize("name", SAVES)
def test_a_save_takes_at_most_so_many_statements(name: str) -> None:
    prepare, at_most = SAVES[name]
    row = prepare()
    with CaptureQueriesContext(connection) as taken:
        row.save()
    assert len(taken) <= at_most, "\n".join(query["sql"][:150] for query in taken)
