"""The status follows what a save or a deletion changes, whatever the instance knew."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from tests.settlements.status_steps import DAY, NAMES, World, save
from tests.settlements.steps import AUTO_COMPLETE, domain_settings, stored, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture(params=["default", "other"])
def world(request: pytest.FixtureRequest) -> World:
    using = request.param
    payer, payee = (
        User.objects.db_manager(using).create_user(name, f"{name}@example.com") for name in ("pia", "emil")
    )

    def settlement(amount: int) -> Settlement:
        return Settlement.objects.using(using).create(
            payer=payer, payee=payee, amount=Money(amount, "EUR"), due_date=timezone.now() + 10 * DAY
        )

    one, other = settlement(100), settlement(60)
    payment = Payment.objects.using(using).create(settlement=one, amount=Money(60, "EUR"), status="completed")
    made = World(using, one, other, payment)
    Job.objects.using(using).exclude(processor=AUTO_COMPLETE).delete()
    made.run()
    Job.objects.using(using).all().delete()
    assert made.statuses == ("partially_paid", "pending")
    return made


def save_settlement(world: World, **values: Any) -> None:
    settlement = stored(world.one, world.using)
    for name, value in values.items():
        setattr(settlement, name, value)
    settlement.save()


# What a save or a deletion tells --------------------------------------------------------------------


TOLD: dict[str, tuple[Callable[[World], Any], tuple[str, str]]] = {
    "created": (
        lambda w: Payment.objects.using(w.using).create(
            settlement=w.one, amount=Money(40, "EUR"), status="completed"
        ),
        ("completed", "pending"),
    ),
    "failed": (lambda w: save(w, status="failed"), ("pending", "pending")),
    "refunded": (lambda w: save(w, status="refunded"), ("pending", "pending")),
    "refunded in part": (lambda w: save(w, refunded_amount=20), ("partially_paid", "pending")),
    "refunded whole": (lambda w: save(w, refunded_amount=60), ("pending", "pending")),
    "raised": (lambda w: save(w, amount=Money(100, "EUR")), ("completed", "pending")),
    "by an expression": (lambda w: save(w, amount=F("amount") + Money(40, "EUR")), ("completed", "pending")),
    "in another currency": (lambda w: save(w, amount=Money(60, "USD")), ("pending", "pending")),
    "moved": (lambda w: save(w, settlement=w.other), ("pending", "completed")),
    "moved by its key": (lambda w: save(w, settlement_id=str(w.other.pk)), ("pending", "completed")),
    "moved and refunded": (lambda w: save(w, settlement=w.other, status="refunded"), ("pending", "pending")),
    "deleted": (lambda w: w.payment.delete(), ("pending", "pending")),
    "deleted by a queryset": (lambda w: w.rows().delete(), ("pending", "pending")),
    "settlement lowered": (lambda w: save_settlement(w, amount=Money(60, "EUR")), ("completed", "pending")),
    "settlement in another currency": (
        lambda w: save_settlement(w, amount=Money(100, "USD")),
        ("pending", "pending"),
    ),
}


@pytest.mark.parametrize("way", TOLD)
def test_the_status_follows_what_a_save_or_a_deletion_changes(world: World, way: str) -> None:
    change, expected = TOLD[way]
    change(world)
    world.run()
    assert world.statuses == expected


@pytest.mark.parametrize("way", TOLD)
def test_the_job_that_recomputes_is_written_with_the_change(world: World, way: str) -> None:
    change, _expected = TOLD[way]
    with transaction.atomic(using=world.using):
        change(world)
        assert waiting_of(world.one, AUTO_COMPLETE, world.using)
        transaction.set_rollback(True, using=world.using)
    assert not waiting_of(world.one, AUTO_COMPLETE, world.using)


def test_a_settlement_that_raises_its_amount_above_what_was_paid_is_open_again(world: World) -> None:
    save(world, amount=Money(100, "EUR"))
    world.run()
    save_settlement(world, amount=Money("100.01", "EUR"))
    world.run()
    assert world.statuses[0] == "partially_paid"


@pytest.mark.parametrize("names", NAMES, ids=["-".join(names) for names in NAMES])
def test_a_save_of_named_fields_writes_those_and_the_status_follows(world: World, names: list[str]) -> None:
    values = {
        "amount": Money(80, "EUR"),
        "refunded_amount": Decimal(5),
        "settlement": world.other,
        "status": "failed" if "refunded_amount" not in names else "completed",
    }
    save(world, names, **values)
    world.run()
    payment = stored(world.payment, world.using)
    is_moved, is_failed = "settlement" in names, payment.status == "failed"
    counts = payment.amount.amount - payment.refunded_amount
    assert payment.amount.amount == (80 if {"amount", "amount_currency"} & set(names) else 60)
    assert payment.refunded_amount == (5 if "refunded_amount" in names else 0)
    assert is_failed == ("status" in names and "refunded_amount" not in names)
    first = "partially_paid" if not is_moved and not is_failed else "pending"
    second = ("completed" if counts >= 60 else "partially_paid") if is_moved and not is_failed else "pending"
    assert world.statuses == (first, second)


# Instances that are older than their rows -----------------------------------------------------------


def test_a_stale_refund_by_name_leaves_status_amount_and_settlement_alone(world: World) -> None:
    stale = stored(world.payment, world.using)
    save(world, amount=Money(60, "EUR"), settlement=world.other)
    stale.refunded_amount = Decimal(10)
    stale.save(update_fields=["refunded_amount"])
    world.run()
    assert world.statuses == ("pending", "partially_paid")


def test_a_stale_refund_is_measured_by_the_amount_of_the_row(world: World) -> None:
    stale = stored(world.payment, world.using)
    save(world, amount=Money(30, "EUR"))
    stale.refunded_amount = Decimal(30)
    stale.save(update_fields=["refunded_amount"])
    assert stored(world.payment, world.using).status == "refunded"


@pytest.mark.parametrize("names", [["status"], ["amount"], ["failure_reason"], None])
def test_a_stale_save_of_what_it_did_not_change_undoes_no_refund(
    world: World, names: list[str] | None
) -> None:
    stale = stored(world.payment, world.using)
    save(world, refunded_amount=20)
    stale.failure_reason = "looked at"
    stale.save(update_fields=names)
    assert stored(world.payment, world.using).refunded_amount == 20


@pytest.mark.parametrize("names", [["refunded_amount"], ["amount"], ["failure_reason"], None])
def test_a_stale_save_of_what_it_did_not_change_undoes_no_status(
    world: World, names: list[str] | None
) -> None:
    save(world, status="pending")
    stale = stored(world.payment, world.using)
    save(world, status="completed")
    stale.failure_reason = "looked at"
    stale.save(update_fields=names)
    world.run()
    assert stored(world.payment, world.using).status == "completed"
    assert world.statuses[0] == "partially_paid"


def test_a_save_that_was_rolled_back_may_be_made_again(world: World) -> None:
    payment = stored(world.payment, world.using)
    payment.status = "failed"
    with transaction.atomic(using=world.using):
        payment.save()
        transaction.set_rollback(True, using=world.using)
    payment.save()
    assert stored(world.payment, world.using).status == "failed"


def test_a_stale_instance_that_is_deleted_counts_by_its_row(world: World) -> None:
    save(world, status="pending")
    stale = stored(world.payment, world.using)
    save(world, status="completed", settlement=world.other)
    world.run()
    stale.delete()
    world.run()
    assert world.statuses == ("pending", "pending")


def test_a_status_that_was_updated_and_then_saved_otherwise_still_counts_no_more(world: World) -> None:
    world.rows().update(status="failed")
    save(world, status="pending")
    world.run()
    assert world.statuses[0] == "pending"
