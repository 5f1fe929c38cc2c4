"""Settlements that were over before the system heard of them: nobody is told of history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.jobs import add_settlement_reminder_job
from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import domain_settings, emails_sent, jobs_of, run_soon, stages_of, stored

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]
DAY = timedelta(days=1)
PAYER, PAYEE = "payer@example.com", "payee@example.com"
LONG_AGO = timezone.now() - 400 * DAY

pytestmark = pytest.mark.django_db(databases=["default", "other"])
each_kind = pytest.mark.parametrize(
    "values",
    [{"status": "completed"}, {"status": "cancelled"}, {"due_date": LONG_AGO}],
    ids=["completed", "cancelled", "long overdue"],
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def both(template_type: str) -> list[tuple[str, str]]:
    """One e-mail of that type to each of the two."""
    return [(template_type, PAYEE), (template_type, PAYER)]


@each_kind
def test_history_is_saved_in_silence(make_settlement: MakeSettlement, values: dict[str, Any]) -> None:
    settlement = make_settlement(**values)
    run_soon()
    assert (stored(settlement).history, jobs_of(settlement), emails_sent()) == (True, [], [])


@each_kind
def test_history_created_in_bulk_is_found_in_silence(settlement: Settlement, values: dict[str, Any]) -> None:
    terms = {name: getattr(settlement, name) for name in ("payer", "payee", "amount", "due_date")}
    [entered] = Settlement.objects.bulk_create([Settlement(**terms | values)])
    assert reconcile(full=True)["settlements announced"] == 1
    assert (stored(entered).history, jobs_of(entered)) == (True, [])
    assert not any(reconcile(full=True).values())


@pytest.mark.parametrize("overdue_for", [4 * DAY, 40 * DAY, 4_000 * DAY])
def test_a_settlement_created_after_its_last_reminder_is_history_and_silent(
    make_settlement: MakeSettlement, overdue_for: timedelta
) -> None:
    settlement = make_settlement(due_date=timezone.now() - overdue_for)
    assert (settlement.history, jobs_of(settlement)) == (True, [])


def test_a_settlement_that_is_said_to_be_no_history_is_reminded_of_however_old(
    make_settlement: MakeSettlement,
) -> None:
    settlement = make_settlement(due_date=timezone.now() - 400 * DAY, history=False)
    assert stages_of(settlement) == {("initial", 0)}


def test_what_is_said_to_be_no_history_is_told(make_settlement: MakeSettlement) -> None:
    make_settlement(status="completed", history=False)
    run_soon()
    assert emails_sent() == both("settlement_completed")


def test_what_is_said_to_be_history_is_not_told(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(history=True)
    settlement.description = "Lunch"
    settlement.save()
    run_soon()
    assert (jobs_of(settlement), emails_sent()) == ([], [])


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_reopening_history_makes_it_a_settlement_like_any_other(
    make_settlement: MakeSettlement, status: str
) -> None:
    settlement = make_settlement(status=status)
    settlement.status = "pending"
    settlement.save()
    assert stored(settlement).history is False
    assert ("final", 0) in stages_of(settlement)
    run_soon()
    assert set(both("settlement_reopened")) <= set(emails_sent())


def test_a_payment_of_history_is_not_told(make_settlement: MakeSettlement, make_payment: MakePayment) -> None:
    settlement = make_settlement(due_date=LONG_AGO)
    make_payment(settlement, status="completed")
    run_soon()
    assert (stored(settlement).status, emails_sent()) == ("completed", [])


def test_money_too_much_for_history_is_told_to_the_payee(
    make_settlement: MakeSettlement, make_payment: MakePayment
) -> None:
    settlement = make_settlement(due_date=LONG_AGO)
    make_payment(settlement, status="completed", amount=Money(130, "EUR"))
    run_soon()
    assert emails_sent() == [("payment_received", PAYEE)]


def test_a_reminder_of_history_that_somebody_asks_for_goes_out(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(due_date=LONG_AGO)
    add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "overdue")
    run_soon()
    assert emails_sent() == [("reminder_overdue", PAYER)]


def test_a_settlement_of_nothing_is_completed_in_silence_and_told_once_it_is_of_something(
    make_settlement: MakeSettlement,
) -> None:
    settlement = make_settlement(amount=Money(0, "EUR"))
    run_soon()
    assert (stored(settlement).status, emails_sent()) == ("completed", [])
    settlement.amount = Money(30, "EUR")
    settlement.save()
    run_soon()
    assert stored(settlement).status == "pending"
    assert set(both("settlement_reopened")) <= set(emails_sent())
