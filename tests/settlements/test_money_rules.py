"""What amounts can be: as many digits as the currency has, and a sign that makes sense; saved or in forms."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.forms import modelform_factory
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import Payment, Settlement
from settlements.money import trouble_with
from settlements.reconcile import reconcile
from tests.settlements.steps import REMINDER, domain_settings, jobs_of, run_soon, stored, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]
Model = type[Settlement] | type[Payment]

IMPOSSIBLE = [
    ("33.33", "JPY"),
    ("0.5", "KRW"),
    ("1.234", "EUR"),
    ("0.001", "USD"),
    ("1.2345", "KWD"),
    ("-1", "EUR"),
    ("-0.01", "EUR"),
    ("1000000000000", "EUR"),
    ("1E30", "EUR"),
    ("1E1000", "JPY"),
]
POSSIBLE = [
    ("33", "JPY"),
    ("1.23", "EUR"),
    ("1.230", "EUR"),
    ("1.234", "KWD"),
    ("0.001", "BHD"),
    ("999999999999.99", "EUR"),
    ("1E3", "JPY"),
]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture(params=[Settlement, Payment], ids=["settlement", "payment"])
def row(request: pytest.FixtureRequest, make_settlement: MakeSettlement, make_payment: MakePayment) -> Any:
    """A settlement or a payment of 100 EUR that is in the database."""
    return stored(make_settlement() if request.param is Settlement else make_payment())


# Digits and sign ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "currency"), IMPOSSIBLE)
@pytest.mark.parametrize("names", [None, ["amount"], ["amount_currency"], ["amount", "amount_currency"]])
def test_a_save_refuses_what_the_currency_cannot_hold(
    row: Any, number: str, currency: str, names: list[str] | None
) -> None:
    with pytest.raises(InvalidAmount, match="the amount of a"):
        row.amount = Money(Decimal(number), currency)
        row.save(update_fields=names)
    assert stored(row).amount == Money(100, "EUR")


@pytest.mark.parametrize(("number", "currency"), IMPOSSIBLE)
def test_nothing_is_created_that_the_currency_cannot_hold(
    make_settlement: MakeSettlement, number: str, currency: str
) -> None:
    with pytest.raises(InvalidAmount):
        make_settlement(amount=Money(Decimal(number), currency))
    assert not Settlement.objects.exists()


@pytest.mark.parametrize(("number", "currency"), POSSIBLE)
def test_what_the_currency_can_hold_is_stored_to_the_last_digit(row: Any, number: str, currency: str) -> None:
    row.amount = Money(Decimal(number), currency)
    row.save()
    assert stored(row).amount == Money(Decimal(number), currency)


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused_as_it_is_set(row: Any, number: str) -> None:
    with pytest.raises(ValidationError):
        row.amount = Money(Decimal(number), "EUR")


def test_the_error_says_what_the_currency_allows(make_settlement: MakeSettlement) -> None:
    with pytest.raises(InvalidAmount, match="not 33.33 JPY: JPY has no digits after the point"):
        make_settlement(amount=Money("33.33", "JPY"))


@pytest.mark.parametrize("value", [33.33, "33.33", 33])
def test_floats_text_and_whole_numbers_are_taken_as_they_are_written(row: Any, value: Any) -> None:
    row.amount = value
    row.save()
    assert stored(row).amount == Money(str(value), "EUR")


def test_an_amount_named_alone_is_written_with_its_currency(row: Any) -> None:
    row.amount = Money(50, "USD")
    row.save(update_fields=["amount"])
    assert stored(row).amount == Money(50, "USD")


def test_a_currency_changed_alone_must_hold_the_amount(row: Any) -> None:
    row.amount = Money("10.50", "EUR")
    row.save()
    row.amount_currency = "JPY"
    with pytest.raises(InvalidAmount):
        row.save(update_fields=["amount_currency"])


def test_an_expression_is_left_to_the_database(row: Any) -> None:
    row.amount = F("amount") + Money("0.50", "EUR")
    row.save()
    assert stored(row).amount == Money("100.50", "EUR")


def test_an_expression_that_makes_it_negative_is_refused_by_the_database(row: Any) -> None:
    row.amount = F("amount") - Money(500, "EUR")
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize("names", [["status"], None])
def test_a_row_that_has_a_bad_amount_already_is_saved_for_other_reasons(
    row: Any, names: list[str] | None
) -> None:
    type(row).objects.filter(pk=row.pk).update(amount=Decimal("33.333"), amount_currency="JPY")
    row = stored(row)
    row.status = "cancelled" if isinstance(row, Settlement) else "processing"
    row.save(update_fields=names)
    assert stored(row).amount == Money("33.333", "JPY")


def test_a_payment_of_nothing_that_is_there_already_can_be_completed(make_payment: MakePayment) -> None:
    payment = make_payment()
    Payment.objects.filter(pk=payment.pk).update(amount=0)
    payment = stored(payment)
    payment.complete()
    payment.save()
    assert stored(payment).status == "completed"


def test_the_database_holds_nothing_but_the_sign(row: Any) -> None:
    rows = type(row).objects.filter(pk=row.pk)
    rows.update(amount=Decimal("0.001"), amount_currency="JPY")
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(amount=Decimal("-0.001"))


@pytest.mark.parametrize(
    ("number", "currency", "said"),
    [
        ("0.000", "EUR", "must be more than 0, not 0.00 EUR"),
        ("0.000", "JPY", "must be more than 0, not 0 JPY"),
        ("0", "KWD", "must be more than 0, not 0.000 KWD"),
        ("-5.100", "EUR", "must be more than 0, not -5.10 EUR"),
        ("-5.105", "EUR", "must be more than 0, not -5.105 EUR"),
        ("-1e30", "EUR", "must be more than 0, not -1.000e+30 EUR"),
    ],
)
def test_a_refused_amount_is_told_in_the_digits_of_its_currency(
    number: str, currency: str, said: str
) -> None:
    assert trouble_with(Decimal(number), currency, zero_allowed=False) == said


def test_a_payment_of_nothing_is_refused(make_payment: MakePayment) -> None:
    with pytest.raises(InvalidAmount, match="must be more than 0"):
        make_payment(amount=Money(0, "EUR"))


# Forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "currency"), [("33.33", "JPY"), ("1.234", "EUR"), ("-1", "EUR")])
def test_full_clean_refuses_the_same_at_the_field(row: Any, number: str, currency: str) -> None:
    row.amount = Money(number, currency)
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert set(caught.value.message_dict) == {"amount"}


@pytest.mark.parametrize(
    ("number", "currency", "is_valid"),
    [("33.33", "JPY", False), ("33", "JPY", True), ("1.234", "EUR", False), ("1.234", "KWD", True)],
)
def test_a_form_refuses_the_same(row: Any, number: str, currency: str, is_valid: bool) -> None:
    form = modelform_factory(type(row), fields=["amount"])
    assert form({"amount_0": number, "amount_1": currency}, instance=row).is_valid() is is_valid


def test_a_form_takes_a_settlement_of_nothing_and_no_payment_of_nothing(make_payment: MakePayment) -> None:
    data, payment = {"amount_0": "0", "amount_1": "EUR"}, make_payment()
    assert modelform_factory(Settlement, fields=["amount"])(data, instance=payment.settlement).is_valid()
    assert not modelform_factory(Payment, fields=["amount"])(data, instance=payment).is_valid()


@pytest.mark.parametrize("refunded", ["101", "-1", "0.001", "abc", "NaN"])
def test_a_form_refuses_a_refund_that_cannot_be(make_payment: MakePayment, refunded: str) -> None:
    payment = stored(make_payment(status="completed"))
    form = modelform_factory(Payment, fields=["refunded_amount"])(
        {"refunded_amount": refunded}, instance=payment
    )
    assert set(form.errors) == {"refunded_amount"}


def test_a_form_refuses_a_refund_of_what_never_arrived(make_payment: MakePayment) -> None:
    form = modelform_factory(Payment, fields=["refunded_amount"])
    assert not form({"refunded_amount": "5"}, instance=stored(make_payment())).is_valid()


def test_an_empty_refund_in_a_form_is_none(make_payment: MakePayment) -> None:
    payment = stored(make_payment(status="completed"))
    form = modelform_factory(Payment, fields=["refunded_amount"])({"refunded_amount": ""}, instance=payment)
    assert form.is_valid()
    form.save()
    assert stored(payment).refunded_amount == 0


# Refunds ------------------------------------------------------------------------------------------

REFUNDS: dict[tuple[str, str, str | None], tuple[str, str] | type[Exception]] = {
    # status before, refunded amount set, status set: status and refunded amount after, or the error
    ("completed", "30", None): ("completed", "30"),
    ("completed", "100", None): ("refunded", "100"),
    ("completed", "100.01", None): InvalidRefund,
    ("completed", "-1", None): InvalidAmount,
    ("completed", "0.001", None): InvalidAmount,
    ("completed", "NaN", None): InvalidAmount,
    ("completed", "30", "completed"): ("completed", "30"),
    ("completed", "30", "refunded"): InvalidRefund,
    ("completed", "100", "refunded"): ("refunded", "100"),
    ("completed", "0", "refunded"): ("refunded", "100"),
    ("completed", "30", "failed"): InvalidRefund,
    ("completed", "30", "pending"): InvalidRefund,
    ("refunded", "30", None): ("completed", "30"),
    ("refunded", "0", None): ("completed", "0"),
    ("refunded", "30", "completed"): ("completed", "30"),
    ("refunded", "100", "completed"): (
        "completed",
        "0",
    ),  # the amount is what it was: the status is what is set
    ("refunded", "100", "failed"): ("failed", "0"),
    ("pending", "30", None): InvalidRefund,
    ("pending", "100", None): InvalidRefund,
    ("processing", "30", None): InvalidRefund,
    ("failed", "30", None): InvalidRefund,
    ("pending", "30", "completed"): ("completed", "30"),
    ("pending", "100", "completed"): ("refunded", "100"),
    ("pending", "0", "refunded"): ("refunded", "100"),
}


@pytest.mark.parametrize("case", REFUNDS, ids=["-".join(str(part) for part in case) for case in REFUNDS])
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "whole"])
def test_status_and_refunded_amount_agree_or_are_refused(
    make_payment: MakePayment, case: tuple[str, str, str | None], is_named: bool
) -> None:
    before, refunded, status = case
    payment = stored(make_payment(status=before))
    payment.refunded_amount = Decimal(refunded)
    names = ["refunded_amount"]
    if status is not None:
        payment.status, names = status, [*names, "status"]
    expected = REFUNDS[case]
    if isinstance(expected, tuple):
        payment.save(update_fields=names if is_named else None)
        assert (stored(payment).status, stored(payment).refunded_amount) == (
            expected[0],
            Decimal(expected[1]),
        )
    else:
        with pytest.raises(expected):
            payment.save(update_fields=names if is_named else None)
        assert stored(payment).status == before


def test_a_refund_in_another_currency_is_refused(make_payment: MakePayment) -> None:
    payment = make_payment(status="completed")
    payment.refunded_amount = Money(5, "USD")
    with pytest.raises(InvalidRefund, match="USD; it must be in the payment's EUR"):
        payment.save()


def test_a_refund_may_be_given_with_its_currency(make_payment: MakePayment) -> None:
    payment = make_payment(status="completed")
    payment.refunded_amount = Money(5, "EUR")
    payment.save()
    assert stored(payment).refunded == Money(5, "EUR")


def test_a_status_set_on_a_payment_loaded_in_part_says_what_went_back(make_payment: MakePayment) -> None:
    payment = Payment.objects.only("status").get(pk=make_payment(status="completed").pk)
    payment.status = "refunded"
    payment.save()
    assert stored(payment).refunded_amount == 100


@pytest.mark.parametrize("amount", [Money(20, "EUR"), Money(100, "JPY")])
def test_an_amount_that_does_not_fit_what_went_back_is_refused(
    make_payment: MakePayment, amount: Money
) -> None:
    payment = make_payment(status="completed", refunded_amount=Decimal("30.50"))
    payment.amount = amount
    with pytest.raises((InvalidRefund, InvalidAmount)):
        payment.save()


def test_the_amount_of_a_refunded_payment_went_back_whole(make_payment: MakePayment) -> None:
    payment = make_payment(status="refunded")
    payment.amount = Money(150, "EUR")
    payment.save()
    assert (stored(payment).status, stored(payment).refunded_amount) == ("refunded", 150)


# Nothing owed -------------------------------------------------------------------------------------


def in_bulk(settlement: Settlement) -> None:
    copy = Settlement(
        payer=settlement.payer, payee=settlement.payee, amount=Money(0, "EUR"), due_date=settlement.due_date
    )
    Settlement.objects.bulk_create([copy])
    for full in (False, True):
        reconcile(full=full)


def saved(settlement: Settlement) -> None:
    Settlement.objects.create(
        payer=settlement.payer, payee=settlement.payee, amount=Money(0, "EUR"), due_date=settlement.due_date
    )


@pytest.mark.parametrize("way", [saved, in_bulk])
def test_a_settlement_of_nothing_is_completed_and_nobody_hears_of_it(
    settlement: Settlement, way: Callable[[Settlement], None]
) -> None:
    run_soon()
    mail.outbox.clear()
    way(settlement)
    run_soon()
    [nothing] = Settlement.objects.exclude(pk=settlement.pk)
    assert (nothing.status, nothing.decided_status) == ("completed", "")
    assert not jobs_of(nothing, REMINDER) and not mail.outbox


def test_a_settlement_of_nothing_that_is_raised_is_owed_and_reminded_of(
    make_settlement: MakeSettlement,
) -> None:
    settlement = make_settlement(amount=Money(0, "EUR"))
    settlement.amount = Money(100, "EUR")
    settlement.save()
    run_soon()
    assert (stored(settlement).status, stored(settlement).open_amount()) == ("pending", Money(100, "EUR"))
    assert waiting_of(settlement, REMINDER)
    assert {tuple(message.to) for message in mail.outbox} == {("payer@example.com",), ("payee@example.com",)}


def test_a_settlement_that_is_lowered_to_nothing_is_completed(settlement: Settlement) -> None:
    run_soon()
    settlement.amount = Money(0, "EUR")
    settlement.save()
    run_soon()
    assert stored(settlement).status == "completed"
    assert not waiting_of(settlement, REMINDER)


@pytest.mark.parametrize(
    ("amount", "shown"), [(Money("10.50", "RSD"), "10.50"), (Money("84.505", "EUR"), "84.505")]
)
def test_a_payment_is_named_with_every_digit_that_is_paid(amount: Money, shown: str) -> None:
    assert shown in str(Payment(amount=amount))
