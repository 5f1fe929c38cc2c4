"""Money that fits nowhere: one row each, open until somebody closes it, and the payee hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.testing import run_job
from settlements import discrepancies
from settlements.exceptions import DiscrepancyClosed
from settlements.models import Discrepancy, Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.provider import Provider
from tests.settlements.steps import STATUS_CHECK, at_once, domain_settings, only, run_soon, stored

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MakeSettlement = Callable[..., Settlement]
Pay = Callable[..., Payment]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def pay(settlement: Settlement) -> Pay:
    """A completed payment to the settlement of 100 EUR, and everything that follows from it."""

    def make(number: int, currency: str = "EUR") -> Payment:
        payment = Payment.objects.create(
            settlement=settlement, amount=Money(number, currency), status="completed"
        )
        run_soon()
        return payment

    return make


def change(row: Any, **values: Any) -> None:
    row = stored(row)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    run_soon()


def noted() -> list[tuple[str, Decimal, bool]]:
    """Kind, amount and whether it is open, oldest first."""
    return [(row.kind, row.amount, row.is_open) for row in Discrepancy.objects.order_by("id")]


def close() -> None:
    user = User.objects.filter(username="payer").get()
    for row in Discrepancy.objects.filter(closed_at__isnull=True):
        row.close(user, "sent back")


# Too much -----------------------------------------------------------------------------------------


def test_no_more_than_owed_is_no_discrepancy(pay: Pay) -> None:
    pay(60)
    pay(40)
    assert noted() == []


def test_what_was_paid_too_much_is_noted_once(pay: Pay) -> None:
    pay(130)
    reconcile(full=True)
    run_soon()
    assert noted() == [("overpaid", 30, True)]


def test_the_open_row_says_how_much_it_is_now(pay: Pay) -> None:
    pay(130)
    pay(5)
    assert noted() == [("overpaid", 35, True)]


def test_what_went_back_is_said_on_the_open_row(pay: Pay) -> None:
    payment = pay(130)
    change(payment, refunded_amount=30)
    assert noted() == [("overpaid", 0, True)]
    assert Discrepancy.objects.get().detail == discrepancies.GONE


def test_what_was_closed_is_not_noted_again_while_it_is_the_same(pay: Pay, settlement: Settlement) -> None:
    pay(130)
    close()
    change(settlement, description="Dinner in Porto", due_date=settlement.due_date)
    reconcile(full=True)
    run_soon()
    assert noted() == [("overpaid", 30, False)]


def test_more_than_was_closed_is_noted_again(pay: Pay) -> None:
    pay(130)
    close()
    pay(5)
    assert noted() == [("overpaid", 30, False), ("overpaid", 35, True)]


def test_the_same_once_more_after_it_had_gone_back_is_noted_again(pay: Pay) -> None:
    payment = pay(130)
    close()
    change(payment, refunded_amount=30)
    pay(30)
    assert noted() == [("overpaid", 30, False), ("overpaid", 30, True)]


def test_a_raised_amount_makes_it_too_much_no_more(pay: Pay, settlement: Settlement) -> None:
    pay(130)
    change(settlement, amount=Money(200, "EUR"))
    assert noted() == [("overpaid", 0, True)]


def test_too_much_that_nobody_saved_is_found_by_the_reconciler(pay: Pay) -> None:
    payment = pay(100)
    Payment.objects.filter(pk=payment.pk).update(amount=120)
    reconcile(full=True)
    run_soon()
    assert noted() == [("overpaid", 20, True)]


def test_too_much_that_vanished_without_a_save_is_found_by_the_reconciler(pay: Pay) -> None:
    payment = pay(130)
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=30)
    reconcile(full=True)
    run_soon()
    assert noted() == [("overpaid", 0, True)]
    assert reconcile(full=True) == {}


def test_an_amount_that_had_been_closed_before_another_is_found_by_the_reconciler(pay: Pay) -> None:
    payment = pay(110)
    close()
    change(payment, amount=Money(120, "EUR"))
    close()
    Payment.objects.filter(pk=payment.pk).update(amount=110)
    reconcile(full=True)
    run_soon()
    assert noted()[-1] == ("overpaid", 10, True)


def test_a_deleted_payment_is_too_much_no_more(pay: Pay) -> None:
    pay(100)
    pay(30).delete()
    run_soon()
    assert noted() == [("overpaid", 0, True)]


# A debt that was called off -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["save", "update"])
def test_money_that_was_paid_before_it_was_cancelled_is_noted(
    pay: Pay, settlement: Settlement, way: str
) -> None:
    pay(40)
    if way == "save":
        change(settlement, status="cancelled")
    else:
        Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
        reconcile(full=False)
        run_soon()
    assert noted() == [("cancelled", 40, True)]


@pytest.mark.parametrize("way", ["save", "update"])
def test_money_that_arrives_after_it_was_cancelled_is_noted(
    pay: Pay, settlement: Settlement, way: str
) -> None:
    if way == "save":
        change(settlement, status="cancelled")
    else:
        Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
    pay(40)
    assert noted() == [("cancelled", 40, True)]


def test_money_for_history_that_was_cancelled_is_noted(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(history=True)
    Payment.objects.create(settlement=settlement, amount=Money(40, "EUR"), status="completed")
    change(settlement, status="cancelled")
    reconcile(full=True)
    run_soon()
    assert noted() == [("cancelled", 40, True)]


def test_a_settlement_that_is_owed_again_keeps_its_money(pay: Pay, settlement: Settlement) -> None:
    change(settlement, status="cancelled")
    pay(40)
    change(settlement, status="pending")
    reconcile(full=True)
    run_soon()
    assert noted() == [("cancelled", 0, True)]


def test_a_status_that_was_updated_back_is_no_money_too_much(pay: Pay, settlement: Settlement) -> None:
    change(settlement, status="cancelled")
    Settlement.objects.filter(pk=settlement.pk).update(status="pending")
    pay(40)
    assert ("overpaid", 40, True) not in noted()


# Another currency ---------------------------------------------------------------------------------


def test_a_payment_in_another_currency_is_noted_and_counts_nothing(pay: Pay, settlement: Settlement) -> None:
    payment = pay(100, "USD")
    row = Discrepancy.objects.get()
    assert (row.kind, row.payment, row.amount, row.currency) == ("currency", payment, 100, "USD")
    assert stored(settlement).status == "pending"


def change_currency(payment: Payment, settlement: Settlement) -> None:
    change(payment, amount=Money(100, "EUR"))


def fail(payment: Payment, settlement: Settlement) -> None:
    change(payment, status="failed")


def change_settlement(payment: Payment, settlement: Settlement) -> None:
    change(settlement, amount=Money(100, "USD"))


def delete(payment: Payment, settlement: Settlement) -> None:
    payment.delete()
    run_soon()


@pytest.mark.parametrize("event", [change_currency, fail, change_settlement, delete])
def test_it_is_said_when_the_payment_is_in_another_currency_no_more(
    pay: Pay, settlement: Settlement, event: Callable[[Payment, Settlement], None]
) -> None:
    event(pay(100, "USD"), settlement)
    assert [(row.kind, row.detail) for row in Discrepancy.objects.all()] == [("currency", discrepancies.GONE)]


def test_a_foreign_payment_that_moves_is_noted_at_its_new_settlement(
    pay: Pay, make_settlement: MakeSettlement
) -> None:
    payment, other = pay(100, "USD"), make_settlement()
    change(payment, settlement=other)
    reconcile(full=True)
    run_soon()
    assert [(row.settlement_id, row.is_open) for row in Discrepancy.objects.all()] == [(other.pk, True)]


def test_a_currency_that_nobody_saved_is_found_though_the_status_stays(pay: Pay) -> None:
    pay(20)
    payment = pay(30)
    Payment.objects.filter(pk=payment.pk).update(amount_currency="USD")
    reconcile(full=True)
    run_soon()
    assert noted() == [("currency", 30, True)]


# A provider that speaks of something else ---------------------------------------------------------


@pytest.fixture
def provider(settings: DjangoSettings) -> Iterator[Provider]:
    """A payment provider that the product asks."""
    made = Provider()
    settings.SETTLEMENTS = domain_settings(
        GATEWAY="settlements.gateways.HttpGateway", GATEWAY_OPTIONS={"base_url": made.url, "token": "t"}
    )
    yield made
    made.close()


def ask(settlement: Settlement) -> None:
    run_job(only(settlement, STATUS_CHECK))


CONTRADICTIONS = [
    {"amount": "99.00", "currency": "EUR"},
    {"amount": "100.00", "currency": "USD"},
    {"id": "00000000-0000-0000-0000-000000000001"},
]


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_a_contradicting_answer_is_not_believed_and_noted_once(
    settlement: Settlement, provider: Provider, contradiction: dict[str, str]
) -> None:
    payment = Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"))
    provider.answers(200, {"status": "completed", **contradiction})
    for _ in range(2):
        ask(settlement)
        reconcile(full=True)
    assert stored(payment).status == "pending"
    assert noted() == [("contradiction", 100, True)]


def test_the_same_contradiction_is_not_noted_again_after_it_was_closed(
    settlement: Settlement, provider: Provider
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"))
    provider.answers(200, {"status": "completed", "amount": "99.00", "currency": "EUR"})
    ask(settlement)
    close()
    reconcile(full=True)
    ask(settlement)
    assert noted() == [("contradiction", 100, False)]


# Closing, and at the same time --------------------------------------------------------------------


def test_who_closed_it_when_and_why_is_kept(pay: Pay, payer: User) -> None:
    pay(130)
    row = Discrepancy.objects.get()
    row.close(payer, "sent back")
    assert (row.closed_by, row.closing_reason, row.is_open) == (payer, "sent back", False)


def test_what_is_closed_cannot_be_closed_again(pay: Pay, payer: User) -> None:
    pay(130)
    row, again = Discrepancy.objects.get(), Discrepancy.objects.get()
    row.close(payer, "sent back")
    with pytest.raises(DiscrepancyClosed):
        again.close(payer, "kept")
    assert Discrepancy.objects.get().closing_reason == "sent back"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("currency", ["EUR", "USD"])
def test_two_workers_at_once_make_one_row(settlement: Settlement, currency: str) -> None:
    payment = Payment(settlement=settlement, amount=Money(130, currency), status="completed")
    Payment.objects.bulk_create([payment])
    paid = settlement.paid().amount
    at_once(*[lambda: discrepancies.note(settlement, paid, "default")] * 2)
    assert len(noted()) == 1


# What the payee hears -----------------------------------------------------------------------------


def received() -> str:
    """The letter to the payee about the latest payment."""
    letters = [message for message in mail.outbox if message.to == ["payee@example.com"]]
    return " ".join(str([letter.body for letter in letters if "paid you" in letter.body][-1]).split())


def test_the_payees_letter_says_how_much_was_paid_too_much(pay: Pay) -> None:
    pay(130)
    assert "€30.00 more than was owed has been paid" in received()


def test_the_payees_letter_about_history_says_it_too(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(history=True)
    Payment.objects.create(settlement=settlement, amount=Money(130, "EUR"), status="completed")
    run_soon()
    assert "€30.00 more than was owed has been paid" in received()


def test_the_payee_hears_of_money_for_a_cancelled_settlement(pay: Pay, settlement: Settlement) -> None:
    change(settlement, status="cancelled")
    pay(40)
    assert "The settlement was cancelled: nothing is owed" in received()
    assert "€40.00" in received()


def test_the_payee_hears_how_much_was_paid_for_what_was_cancelled(pay: Pay, settlement: Settlement) -> None:
    change(settlement, status="cancelled")
    pay(20)
    pay(30)
    assert "€50.00 has been paid that nobody owed" in received()
