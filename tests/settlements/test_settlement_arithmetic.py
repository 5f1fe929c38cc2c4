"""What counts as paid: the sum of the completed payments in the settlement's currency, for any payments."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from moneyed import Money
from pytest_django import DjangoAssertNumQueries

from settlements.models import PaidByPayments, Payment, Settlement

amounts = st.decimals(Decimal("0.01"), Decimal("999999999.99"), places=2)
statuses = st.sampled_from(Payment.Status.values)
currencies = st.sampled_from(["EUR", "USD", "JPY"])
payments_in_euro = st.lists(st.tuples(statuses, amounts, st.just("EUR")), max_size=8)
payments_in_any_currency = st.lists(st.tuples(statuses, amounts, currencies), max_size=8)
modest = settings(max_examples=40, deadline=None)

Row = tuple[str, Decimal, str]

pytestmark = pytest.mark.django_db


def _money(value: Decimal, currency: str) -> Any:
    """Money for a model's field, which Django's type stubs take for a plain decimal."""
    return Money(value, currency)


def _settlement(amount: Decimal, rows: list[Row]) -> Settlement:
    """A settlement in euro with these payments, written without the jobs that saving would cause."""
    payer, _ = User.objects.get_or_create(username="payer")
    payee, _ = User.objects.get_or_create(username="payee")
    [settlement] = Settlement.objects.bulk_create(
        [Settlement(payer=payer, payee=payee, amount=_money(amount, "EUR"), due_date=timezone.now())]
    )
    Payment.objects.bulk_create(
        Payment(settlement=settlement, status=status, amount=_money(value, currency))
        for status, value, currency in rows
    )
    return settlement


def _completed(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[0] == "completed"]


@modest
@given(amounts, payments_in_any_currency)
def test_paid_is_the_sum_of_the_completed_payments_in_the_settlements_currency(
    amount: Decimal, rows: list[Row]
) -> None:
    counting = [value for _, value, currency in _completed(rows) if currency == "EUR"]
    assert _settlement(amount, rows).paid() == Money(sum(counting), "EUR")


@modest
@given(amounts, payments_in_any_currency)
def test_the_sum_in_sql_is_the_same(amount: Decimal, rows: list[Row]) -> None:
    settlement = _settlement(amount, rows)
    counted = Settlement.objects.annotate(counted=PaidByPayments()).get(pk=settlement.pk)
    assert counted.counted == settlement.paid().amount


@modest
@given(amounts, payments_in_any_currency)
def test_payments_that_are_not_completed_count_for_nothing_in_any_currency(
    amount: Decimal, rows: list[Row]
) -> None:
    unfinished = [row for row in rows if row[0] != "completed"]
    assert _settlement(amount, unfinished).paid() == Money(0, "EUR")


@modest
@given(amounts, payments_in_euro, st.randoms(use_true_random=False))
def test_the_order_of_payments_makes_no_difference(amount: Decimal, rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert _settlement(amount, rows).paid() == _settlement(amount, shuffled).paid()


@modest
@given(amounts, amounts)
def test_over_payment_is_counted_in_full(amount: Decimal, more: Decimal) -> None:
    settlement = _settlement(amount, [("completed", amount, "EUR"), ("completed", more, "EUR")])
    assert settlement.paid() == Money(amount + more, "EUR")
    assert settlement.paid() > settlement.amount


@modest
@given(amounts, payments_in_euro.filter(_completed))
def test_a_refund_takes_exactly_its_payment_back(amount: Decimal, rows: list[Row]) -> None:
    settlement = _settlement(amount, rows)
    before = settlement.paid()
    refunded = settlement.payments.filter(status="completed")[0]
    settlement.payments.filter(pk=refunded.pk).update(status="refunded")
    assert settlement.paid() == before - refunded.amount


@modest
@given(st.lists(amounts, min_size=1, max_size=8))
def test_part_payments_cover_the_amount_with_the_last_one_and_not_before(parts: list[Decimal]) -> None:
    settlement = _settlement(sum(parts, Decimal(0)), [("completed", part, "EUR") for part in parts[:-1]])
    assert settlement.paid() < settlement.amount
    Payment.objects.bulk_create(
        [Payment(settlement=settlement, status="completed", amount=_money(parts[-1], "EUR"))]
    )
    assert settlement.paid() == settlement.amount


def test_ten_times_ten_cents_are_one_euro() -> None:
    assert _settlement(Decimal(1), [("completed", Decimal("0.10"), "EUR")] * 10).paid() == Money(1, "EUR")


def test_without_payments_nothing_is_paid() -> None:
    assert _settlement(Decimal(5), []).paid() == Money(0, "EUR")


def test_payments_of_another_settlement_do_not_count() -> None:
    settlement = _settlement(Decimal(5), [("completed", Decimal(2), "EUR")])
    _settlement(Decimal(7), [("completed", Decimal(3), "EUR")])
    assert settlement.paid() == Money(2, "EUR")


@pytest.mark.parametrize("rest", [Decimal(2), Decimal(5)])
def test_a_part_that_went_back_does_not_count(rest: Decimal) -> None:
    settlement = _settlement(Decimal(9), [("completed", Decimal(7), "EUR")])
    settlement.payments.update(refunded_amount=Decimal(7) - rest)
    assert settlement.paid() == Money(rest, "EUR")


def _read_before_it_was_paid() -> Settlement:
    """A settlement of 100 that somebody read with its pending payment, which is completed by now."""
    key = _settlement(Decimal(100), [("pending", Decimal(100), "EUR")]).pk
    settlement = Settlement.objects.prefetch_related("payments").get(pk=key)
    Payment.objects.filter(settlement=key).update(status="completed")
    return settlement


def test_payments_that_were_prefetched_do_not_age_the_sum() -> None:
    assert _read_before_it_was_paid().paid() == _money(Decimal(100), "EUR")


def test_payments_that_were_prefetched_do_not_age_whether_it_is_covered() -> None:
    assert _read_before_it_was_paid().is_covered()


def test_the_sum_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    settlement = _settlement(Decimal(5), [("completed", Decimal(1), "EUR")] * 20)
    with django_assert_num_queries(1):
        settlement.paid()
