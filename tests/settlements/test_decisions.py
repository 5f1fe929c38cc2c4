"""What somebody decided by hand about a settlement: kept with who, when and why, undone by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.testing import run_job
from settlements.models import Discrepancy, Payment, Settlement
from settlements.models.settlement_saving import BY_PROGRAM
from settlements.reconcile import reconcile
from tests.settlements.steps import AUTO_COMPLETE, about, at_once, domain_settings, only, run_soon, stored

pytestmark = pytest.mark.django_db(databases=["default", "other"])
KEPT = ("decided_status", "decided_at", "decided_by_id", "decision_reason", "decided_paid")

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def decide(
    settlement: Settlement, status: str = "completed", user: Any = None, reason: str = ""
) -> Settlement:
    """Set the status through an instance of its own."""
    row = stored(settlement)
    row.status = status
    if reason:
        row.by_decision_of(user, reason)
    row.save()
    return row


def settle() -> None:
    """Find and do whatever is to be done."""
    for full in (False, True, True):
        reconcile(full=full)
        run_soon()


def decision_of(settlement: Settlement) -> tuple[Any, ...]:
    row = stored(settlement)
    return tuple(getattr(row, name) for name in KEPT)


# What is kept -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_who_when_and_why_are_kept(settlement: Settlement, payer: User, status: str) -> None:
    row = decide(settlement, status, payer, "paid in cash")
    assert decision_of(row)[:1] == (status,)
    assert (row.decided_by, row.decision_reason) == (payer, "paid in cash")
    assert row.decided_at is not None and about(row.decided_at, timezone.now())


def test_a_status_that_a_program_sets_has_a_reason_too(settlement: Settlement) -> None:
    assert stored(decide(settlement)).decision_reason == BY_PROGRAM


def test_how_much_was_paid_by_then_is_kept(settlement: Settlement, make_payment: MakePayment) -> None:
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    assert decide(settlement).decided_paid == 40


def test_a_reason_counts_for_one_save_only(settlement: Settlement, payer: User) -> None:
    row = decide(settlement, "completed", payer, "paid in cash")
    row.reopen()
    row.save()
    row.cancel()
    row.save()
    assert (row.decided_by, row.decision_reason) == (None, BY_PROGRAM)


def test_what_payments_cover_is_no_decision(settlement: Settlement, make_payment: MakePayment) -> None:
    make_payment(settlement, status="completed")
    assert decide(settlement).decided_status == ""


def test_what_payments_cover_is_a_decision_where_somebody_gives_a_reason(
    settlement: Settlement, make_payment: MakePayment, payer: User
) -> None:
    make_payment(settlement, status="completed")
    assert decide(settlement, "completed", payer, "checked by hand").decided_status == "completed"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_what_is_created_closed_was_decided(make_settlement: MakeSettlement, status: str) -> None:
    assert make_settlement(status=status).decided_status == status


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_status_that_was_updated_is_adopted_with_a_reason(settlement: Settlement, status: str) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    reconcile(full=False)
    row = stored(settlement)
    assert (row.status, row.decided_status, row.decision_reason) == (status, status, BY_PROGRAM)


def test_a_payment_that_arrives_before_an_updated_status_is_adopted_does_not_undo_it(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status="completed")
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    run_soon()
    settle()
    assert stored(settlement).status == "completed"


def test_the_decision_in_the_currency_that_the_save_writes_counts_what_is_paid_in_it(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, amount=Money(50, "EUR"), status="completed")
    row = stored(settlement)
    row.amount, row.status = Money(50, "USD"), "completed"
    row.save()
    settle()
    assert (stored(row).status, stored(row).decided_status) == ("completed", "completed")


# What does not undo it ----------------------------------------------------------------------------


def part_payment(settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(30, "EUR"), status="completed")


def part_payment_that_fails(settlement: Settlement) -> None:
    payment = Payment.objects.create(settlement=settlement, amount=Money(30, "EUR"), status="completed")
    run_soon()
    payment.fail()
    payment.save()


def foreign_payment(settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(500, "USD"), status="completed")


def raised_amount(settlement: Settlement) -> None:
    row = stored(settlement)
    row.amount = Money(900, "EUR")
    row.save()


def raised_amount_past_save(settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(amount=900)


def other_currency(settlement: Settlement) -> None:
    row = stored(settlement)
    row.amount = Money(100, "USD")
    row.save()


def nothing(settlement: Settlement) -> None:
    pass


@pytest.mark.parametrize(
    "event",
    [
        part_payment,
        part_payment_that_fails,
        foreign_payment,
        raised_amount,
        raised_amount_past_save,
        other_currency,
        nothing,
    ],
)
@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_decision_survives(
    settlement: Settlement, status: str, event: Callable[[Settlement], None]
) -> None:
    decide(settlement, status)
    before = decision_of(settlement)
    event(settlement)
    settle()
    assert stored(settlement).status == status
    assert decision_of(settlement) == before


@pytest.mark.parametrize("status", ["completed", "cancelled"])
@pytest.mark.parametrize("names", [None, ["description"], ["due_date", "description"], ["amount"]])
def test_an_older_instance_that_is_saved_does_not_undo_a_decision(
    settlement: Settlement, payer: User, status: str, names: list[str] | None
) -> None:
    stale = stored(settlement)
    decide(settlement, status, payer, "paid in cash")
    before = decision_of(settlement)
    stale.description = "Dinner in Porto"
    stale.save(update_fields=names)
    assert (stored(settlement).status, decision_of(settlement)) == (status, before)


def test_an_instance_that_created_the_row_does_not_undo_a_decision_either(settlement: Settlement) -> None:
    decide(settlement)
    settlement.description = "Dinner in Porto"
    settlement.save()
    assert stored(settlement).decided_status == "completed"


def test_an_older_instance_does_not_bring_a_former_payer_back(settlement: Settlement) -> None:
    stale = stored(settlement)
    row = stored(settlement)
    row.payer = User.objects.create_user("otto", "otto@example.com")
    row.save()
    stale.description = "Dinner in Porto"
    stale.save()
    assert (stored(settlement).payer.username, stored(settlement).payer_term) == ("otto", 1)


def test_an_older_instance_on_which_a_status_is_set_does_write_it(settlement: Settlement) -> None:
    stale = stored(settlement)
    decide(settlement)
    stale.status = "pending"
    stale.save()
    assert stored(settlement).status == "pending"


def test_a_payer_or_status_that_is_refreshed_is_not_older(settlement: Settlement) -> None:
    row = stored(settlement)
    decide(settlement, "cancelled")
    row.refresh_from_db()
    row.save()
    assert stored(settlement).decided_status == "cancelled"


# What does ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled"])
@pytest.mark.parametrize("way", ["save", "named", "update"])
def test_opening_again_takes_the_decision_back(settlement: Settlement, status: str, way: str) -> None:
    decide(settlement, status)
    if way == "update":
        Settlement.objects.filter(pk=settlement.pk).update(status="pending")
        settle()
    else:
        row = stored(settlement)
        row.reopen()
        row.save(update_fields=["status"] if way == "named" else None)
    row = stored(settlement)
    assert (row.status, row.decided_status, row.decided_at, row.decision_reason) == ("pending", "", None, "")


def test_what_is_opened_by_hand_stays_completed_where_payments_cover_it(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    run_soon()
    decide(settlement, "pending")
    settle()
    assert stored(settlement).status == "completed"


def test_a_cancelled_settlement_that_is_opened_stands_as_its_payments_say(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    decide(settlement, "cancelled")
    assert decide(settlement, "pending").status == "partially_paid"


def test_money_on_which_a_decision_rested_that_goes_back_opens_the_settlement(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    decide(settlement)
    run_soon()
    payment.refresh_from_db()
    payment.refund()
    payment.save()
    run_soon()
    assert (stored(settlement).status, stored(settlement).decided_status) == ("pending", "")


def test_money_on_which_a_decision_rested_that_vanishes_unseen_leaves_the_decision(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    decide(settlement)
    run_soon()
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=40)
    settle()
    assert stored(settlement).decided_status == stored(settlement).status == "completed"


def push_due_date(settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(due_date=settlement.due_date + timedelta(days=50))


def pay_in_dollars(settlement: Settlement) -> None:
    told = {"status": "completed", "announced_status": "completed"}
    Payment.objects.bulk_create([Payment(settlement=settlement, amount=Money(5, "USD"), **told)])


@pytest.mark.parametrize("then", [push_due_date, pay_in_dollars])
def test_what_else_the_reconciler_finds_on_such_a_settlement_leaves_the_decision(
    settlement: Settlement, make_payment: MakePayment, then: Callable[[Settlement], None]
) -> None:
    payment = make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    decide(settlement)
    run_soon()
    Payment.objects.filter(pk=payment.pk).update(amount=10)
    then(settlement)
    settle()
    assert stored(settlement).decided_status == stored(settlement).status == "completed"
    assert Discrepancy.objects.exists() is (then is pay_in_dollars)


# Jobs that were on their way ----------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_job_that_was_written_before_the_decision_leaves_it(
    settlement: Settlement, make_payment: MakePayment, status: str
) -> None:
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    job = only(settlement, AUTO_COMPLETE)
    decide(settlement, status)
    run_job(job)
    assert stored(settlement).status == stored(settlement).decided_status == status


def test_a_decision_after_the_job_wins_over_it(settlement: Settlement, make_payment: MakePayment) -> None:
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    run_job(only(settlement, AUTO_COMPLETE))
    decide(settlement)
    settle()
    assert stored(settlement).status == "completed"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_decision_and_a_job_at_once_end_as_decided(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, amount=Money(40, "EUR"), status="completed")
    job = only(settlement, AUTO_COMPLETE)
    at_once(lambda: run_job(job), lambda: decide(settlement))
    settle()
    assert (stored(settlement).status, stored(settlement).decided_status) == ("completed", "completed")


# History ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [True, False])
def test_what_is_said_of_history_survives_a_decision(make_settlement: MakeSettlement, history: bool) -> None:
    row = make_settlement(history=history)
    decide(row)
    assert stored(row).history is history


def test_history_that_is_opened_again_is_none(make_settlement: MakeSettlement) -> None:
    row = make_settlement(status="completed", due_date=timezone.now() - timedelta(days=900))
    assert row.history is True
    row.reopen()
    row.save()
    assert stored(row).history is False
