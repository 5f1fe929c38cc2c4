"""Every way in which what a settlement's status rests on can change, and that the status follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import AUTO_COMPLETE, at_once, domain_settings, run_soon, stored, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
DAY = timedelta(days=1)
FIELDS = ("amount", "amount_currency", "refunded_amount", "settlement", "status", "failure_reason")


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@dataclass
class World:
    """A settlement of 100 EUR, to which 60 EUR were paid, and another one of 60 EUR, in one database."""

    using: str
    one: Settlement
    other: Settlement
    payment: Payment

    @property
    def statuses(self) -> tuple[str, str]:
        return stored(self.one, self.using).status, stored(self.other, self.using).status

    def rows(self) -> Any:
        return Payment.objects.using(self.using).filter(pk=self.payment.pk)

    def run(self) -> None:
        run_soon(self.using)
        assert not Job.objects.using(self.using).filter(state__in=["failed", "active"]).exists()


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


def save(world: World, names: list[str] | None = None, **values: Any) -> None:
    payment = stored(world.payment, world.using)
    for name, value in values.items():
        setattr(payment, name, value)
    payment.save(update_fields=names)


def save_settlement(world: World, **values: Any) -> None:
    settlement = stored(world.one, world.using)
    for name, value in values.items():
        setattr(settlement, name, value)
    settlement.save()


# What a save or a deletion tells ------------------------------------------------------------------

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


NAMES = [list(names) for size in (1, 2) for names in combinations(FIELDS, size)]


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


# Instances that are older than their rows ---------------------------------------------------------


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


# What Django does not tell ------------------------------------------------------------------------

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


# Deleting settlements -----------------------------------------------------------------------------


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


# At the same time ---------------------------------------------------------------------------------


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
