"""How a settlement stands: the pure functions, and the same sum in SQL."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import Value
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from moneyed import Money

from settlements.models import PaidByPayments, Payment, Settlement
from settlements.standing import Decision, Standing, counted, standing_of
from tests.examples import examples

D = Decimal
HUNDRED = D(100)
BY_HAND = Decision("completed")
CANCELLED = Decision("cancelled")

# One payment --------------------------------------------------------------------------------------


def test_a_completed_payment_counts_what_of_it_stayed() -> None:
    assert counted("completed", D("50.25"), D("20.05"), "EUR", "EUR") == D("30.20")


@pytest.mark.parametrize("status", ["pending", "processing", "failed", "refunded", ""])
def test_a_payment_that_is_not_completed_counts_nothing(status: str) -> None:
    assert counted(status, D(50), D(0), "EUR", "EUR") == 0


@pytest.mark.parametrize("currency", ["USD", "eur", ""])
def test_a_payment_in_another_currency_counts_nothing(currency: str) -> None:
    assert counted("completed", D(50), D(0), currency, "EUR") == 0


@pytest.mark.parametrize("refunded", [D(50), D("50.001"), D(900)])
def test_a_payment_of_which_as_much_or_more_went_back_counts_nothing_and_never_less(
    refunded: Decimal,
) -> None:
    assert counted("completed", D(50), refunded, "EUR", "EUR") == 0


# A settlement -------------------------------------------------------------------------------------

STANDINGS = {
    "nothing paid": (HUNDRED, D(0), None, Standing("pending", D(0), HUNDRED, D(0))),
    "a part paid": (HUNDRED, D("0.001"), None, Standing("partially_paid", D("0.001"), D("99.999"), D(0))),
    "paid": (HUNDRED, HUNDRED, None, Standing("completed", HUNDRED, D(0), D(0))),
    "paid too much": (HUNDRED, D(130), None, Standing("completed", D(130), D(0), D(30))),
    "of nothing": (D(0), D(0), None, Standing("completed", D(0), D(0), D(0))),
    "of nothing, paid": (D(0), D(5), None, Standing("completed", D(5), D(0), D(5))),
    "by hand": (HUNDRED, D(0), BY_HAND, Standing("completed", D(0), D(0), D(0))),
    "by hand, a part paid": (HUNDRED, D(40), BY_HAND, Standing("completed", D(40), D(0), D(0))),
    "by hand, too much": (HUNDRED, D(101), BY_HAND, Standing("completed", D(101), D(0), D(1))),
    "cancelled": (HUNDRED, D(0), CANCELLED, Standing("cancelled", D(0), D(0), D(0))),
    "cancelled, paid": (HUNDRED, D(40), CANCELLED, Standing("cancelled", D(40), D(0), D(40))),
    "cancelled, of nothing": (D(0), D(0), CANCELLED, Standing("cancelled", D(0), D(0), D(0))),
}


@pytest.mark.parametrize("name", STANDINGS)
def test_a_settlement_stands_by_its_payments_and_its_decision(name: str) -> None:
    amount, paid, decision, expected = STANDINGS[name]
    assert standing_of(amount, paid, decision) == expected


def test_a_decision_holds_while_no_less_counts_than_when_it_was_made() -> None:
    decision = Decision("completed", D(40))
    assert standing_of(HUNDRED, D(40), decision).status == "completed"
    assert standing_of(HUNDRED, D(60), decision).status == "completed"


def test_a_decision_whose_money_went_back_leaves_it_to_the_payments() -> None:
    decision = Decision("completed", D(40))
    assert standing_of(HUNDRED, D(39), decision) == Standing("partially_paid", D(39), D(61), D(0))
    assert standing_of(HUNDRED, D(0), decision).status == "pending"


def test_money_on_which_a_decision_rested_does_not_matter_while_payments_cover_the_amount() -> None:
    assert standing_of(HUNDRED, HUNDRED, Decision("completed", D(150))).status == "completed"


amounts = st.decimals(0, 10**9, places=3)
decisions = st.none() | st.builds(Decision, st.sampled_from(["completed", "cancelled"]), amounts)


@given(amount=amounts, paid=amounts, decision=decisions)
def test_what_is_open_is_owed_only_while_the_status_is_open(
    amount: Decimal, paid: Decimal, decision: Decision | None
) -> None:
    standing = standing_of(amount, paid, decision)
    assert (standing.open_amount > 0) == (standing.status in ("pending", "partially_paid"))


@given(amount=amounts, paid=amounts)
def test_paid_open_and_too_much_add_up(amount: Decimal, paid: Decimal) -> None:
    standing = standing_of(amount, paid)
    assert standing.paid + standing.open_amount - standing.overpaid == amount


@given(amount=amounts, paid=amounts, more=amounts)
def test_more_money_never_opens_a_settlement(amount: Decimal, paid: Decimal, more: Decimal) -> None:
    ranks = ["pending", "partially_paid", "completed"]
    before, after = standing_of(amount, paid).status, standing_of(amount, paid + more).status
    assert ranks.index(before) <= ranks.index(after)


# The same in SQL ----------------------------------------------------------------------------------

CURRENCIES = {"EUR": 2, "JPY": 0, "KWD": 3}


@st.composite
def payments(draw: st.DrawFn) -> tuple[str, Decimal, Decimal, str]:
    """Status, amount, refunded amount and currency, the refunded amount too large now and then."""
    currency = draw(st.sampled_from(list(CURRENCIES)))
    places = CURRENCIES[currency]
    number = st.decimals(0, 10**6, places=places)
    statuses = [*Payment.Status.values, "completed", "completed"]
    return draw(st.sampled_from(statuses)), draw(number), draw(st.just(D(0)) | number), currency


@pytest.mark.django_db
@hypothesis_settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(payments(), max_size=6), owed_in=st.sampled_from(list(CURRENCIES)))
def test_the_sum_in_sql_is_the_sum_of_what_counts(
    make_settlement: Callable[..., Settlement],
    rows: list[tuple[str, Decimal, Decimal, str]],
    owed_in: str,
) -> None:
    with transaction.atomic():
        settlement, other = make_settlement(amount=Money(7, owed_in)), make_settlement()
        for status, amount, refunded, currency in rows:
            for owner in (settlement, other):
                payment = Payment(settlement=owner, amount=Money(amount, currency), status=status)
                Payment.objects.bulk_create([payment])
                Payment.objects.filter(pk=payment.pk).update(refunded_amount=refunded)
        expected = sum((counted(*row, owed_in) for row in rows), D(0))
        annotated = Settlement.objects.annotate(counted=PaidByPayments()).get(pk=settlement.pk)
        assert annotated.counted == expected
        assert settlement.paid() == Money(expected, owed_in)
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_the_sum_in_sql_may_be_asked_in_another_currency(
    settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    make_payment(settlement, amount=Money(40, "USD"), status="completed")
    rows = Settlement.objects.annotate(counted=PaidByPayments(currency=Value("USD")))
    assert rows.get().counted == 40


@pytest.mark.django_db
def test_a_settlement_without_payments_counts_nothing_in_sql(settlement: Settlement) -> None:
    assert Settlement.objects.annotate(counted=PaidByPayments()).get().counted == 0
