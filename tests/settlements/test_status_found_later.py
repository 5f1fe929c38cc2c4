"""The status follows what Django does not tell, deletions, and what happens at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.status_steps import DAY, World, save
from tests.settlements.steps import AUTO_COMPLETE, at_once, domain_settings, run_soon, stored, waiting_of

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.every_case]


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


# What Django does not tell --------------------------------------------------------------------------


SHOWN: dict[str, tuple[Callable[[World], Any], tuple[str, str]]] = {
    "created in bulk": (
        lambda w: Payment.objects.using(w.using).bulk_create(
            [Payment(settlement=w.one, amount=Money(40, "EUR"), status="completed")]
        ),
        ("completed", "pending"),
    ),
    "status updated": (lambda w: w.rows().update(status="failed"), ("pending", "pending")),
    "status and settlement updated": (
        lambda w: (w.rows().update(status="failed"), w.rows().update(settlement=w.other)),
        ("pending", "pending"),
    ),
    "status updated in bulk": (
        lambda w: bulk_update(w, ["status"], status="refunded"),
        ("pending", "pending"),
    ),
}


HIDDEN: dict[str, tuple[Callable[[World], Any], tuple[str, str]]] = {
    "amount": (lambda w: w.rows().update(amount=100), ("completed", "pending")),
    "amount in bulk": (
        lambda w: bulk_update(w, ["amount"], amount=Money(100, "EUR")),
        ("completed", "pending"),
    ),
    "refunded amount": (lambda w: w.rows().update(refunded_amount=60), ("pending", "pending")),
    "currency": (lambda w: w.rows().update(amount_currency="USD"), ("pending", "pending")),
    "settlement": (lambda w: w.rows().update(settlement=w.other), ("pending", "completed")),
    "raw deletion": (lambda w: w.rows()._raw_delete(w.using), ("pending", "pending")),
    "settlement's amount": (
        lambda w: Settlement.objects.using(w.using).filter(pk=w.one.pk).update(amount=60),
        ("completed", "pending"),
    ),
    "settlement's currency": (
        lambda w: Settlement.objects.using(w.using).filter(pk=w.one.pk).update(amount_currency="USD"),
        ("pending", "pending"),
    ),
}


def bulk_update(world: World, names: list[str], **values: Any) -> None:
    payment = stored(world.payment, world.using)
    for name, value in values.items():
        setattr(payment, name, value)
    Payment.objects.using(world.using).bulk_update([payment], names)


@pytest.mark.parametrize("way", SHOWN)
def test_what_a_status_shows_is_found_by_the_quick_reconciler(world: World, way: str) -> None:
    change, expected = SHOWN[way]
    change(world)
    world.run()
    reconcile(full=False)
    world.run()
    if way != "status and settlement updated":
        assert world.statuses == expected
    reconcile(full=True)
    world.run()
    assert world.statuses == expected


@pytest.mark.parametrize("way", HIDDEN)
def test_what_no_status_shows_is_found_by_the_thorough_reconciler(world: World, way: str) -> None:
    change, expected = HIDDEN[way]
    change(world)
    reconcile(full=True)
    world.run()
    assert world.statuses == expected


def test_the_thorough_reconciler_finds_a_completed_settlement_whose_money_is_gone(world: World) -> None:
    save(world, amount=Money(100, "EUR"))
    world.run()
    assert world.statuses[0] == "completed"
    world.rows()._raw_delete(world.using)
    reconcile(full=True)
    world.run()
    assert world.statuses[0] == "pending"


def test_a_job_far_ahead_does_not_keep_the_reconciler_from_mending(world: World) -> None:
    from settlements.jobs import add_settlement_processing_job

    add_settlement_processing_job(
        world.one.pk, "auto_complete", reopen=False, delay=7 * DAY, using=world.using
    )
    world.rows()._raw_delete(world.using)
    reconcile(full=True)
    world.run()
    assert world.statuses[0] == "pending"


def test_a_new_settlement_that_says_it_is_paid_in_part_is_not(world: World) -> None:
    people = {"payer": world.one.payer, "payee": world.one.payee, "due_date": timezone.now() + DAY}
    settlement = Settlement.objects.using(world.using).create(
        amount=Money(5, "EUR"), status="partially_paid", **people
    )
    world.run()
    assert stored(settlement, world.using).status == "pending"


# Deleting settlements -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["row", "queryset"])
def test_deleting_a_settlement_with_its_payments_fails_no_job(world: World, way: str) -> None:
    save(world, refunded_amount=10)
    rows = Settlement.objects.using(world.using).filter(pk=world.one.pk)
    if way == "row":
        world.one.delete()
    else:
        rows.delete()
    world.run()
    assert not waiting_of(world.one, using=world.using)
    assert not world.rows().exists()


# At the same time -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_payments_that_change_places_do_not_wait_for_each_other(
    make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]
) -> None:
    one, other = make_settlement(), make_settlement()
    first = make_payment(one, amount=Money(10, "EUR"), status="completed")
    second = make_payment(other, amount=Money(20, "EUR"), status="completed")

    def shuttle(payment: Payment, places: list[Settlement]) -> Callable[[], None]:
        def go() -> None:
            for place in places * 8:
                payment.settlement = place
                payment.save()

        return go

    at_once(shuttle(first, [other, one]), shuttle(second, [one, other]))
    run_soon()
    assert (stored(one).paid(), stored(other).paid()) == (Money(10, "EUR"), Money(20, "EUR"))
    assert connection.is_usable()


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_payment_that_comes_while_the_amount_changes_does_not_make_either_fail(
    settlement: Settlement,
) -> None:
    def pay() -> None:
        for _ in range(30):
            Payment.objects.create(settlement=settlement, amount=Money(1, "EUR"), status="completed")

    def change() -> None:
        row = stored(settlement)
        for number in range(30):
            row.amount = Money(100 + number, "EUR")
            row.save()

    at_once(pay, change, pay)
    run_soon()
    assert stored(settlement).paid() == Money(60, "EUR")
