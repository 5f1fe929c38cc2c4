"""Amounts in forms: as many digits as the currency has, and named errors instead of error pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from moneyed import Money

from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.settlements.admin_steps import (
    PAYMENTS,
    SETTLEMENTS,
    errors_of,
    new_payment,
    new_settlement,
    opened,
    page_of,
    saved,
)
from tests.settlements.steps import stored

pytestmark = pytest.mark.django_db

WRONG = [
    ("33.33", "JPY", "JPY has no digits after the point"),
    ("1.234", "EUR", "EUR has at most 2 digits after the point"),
    ("-1", "EUR", "must be"),
    ("1.2345", "KWD", "no more than 3 decimal places"),
    ("x", "EUR", "Enter a number"),
    ("NaN", "EUR", "Enter a number"),
    ("Infinity", "EUR", "Enter a number"),
    ("1e400", "EUR", "no more than"),
    ("9" * 13, "EUR", "no more than"),
    ("5", "XYZ", "Select a valid choice"),
    ("", "EUR", "required"),
]


@pytest.mark.parametrize(
    ("amount", "shown", "step"),
    [
        (Money("84.5", "EUR"), "84.50", "0.01"),
        (Money(5, "JPY"), "5", "1"),
        (Money("1.234", "KWD"), "1.234", "0.001"),
    ],
)
def test_an_amount_shows_the_digits_of_its_currency(
    admin_client: Client, make_settlement: Callable[..., Settlement], amount: Money, shown: str, step: str
) -> None:
    settlement = make_settlement(amount=amount)
    payment = Payment.objects.create(settlement=settlement, amount=amount)
    form = opened(admin_client, settlement)
    assert form.fields["amount_0"] == shown
    assert form.fields["payments-0-amount_0"] == shown
    assert opened(admin_client, payment).fields["amount_0"] == shown
    assert f'step="{step}"' in text_of(admin_client.get(page_of(settlement)))


def test_digits_that_a_program_wrote_and_the_currency_does_not_have_are_shown(
    admin_client: Client, settlement: Settlement
) -> None:
    Settlement.objects.update(amount=Money("33.333", "EUR"))
    assert opened(admin_client, settlement).fields["amount_0"] == "33.333"


@pytest.mark.parametrize(("number", "currency", "error"), WRONG)
def test_a_wrong_amount_of_a_settlement_is_an_error_of_its_form(
    admin_client: Client, payer: User, payee: User, number: str, currency: str, error: str
) -> None:
    form = new_settlement(payer, payee, amount_0=number, amount_1=currency)
    assert error in errors_of(admin_client.post(f"{SETTLEMENTS}add/", form))
    assert not Settlement.objects.exists()


@pytest.mark.parametrize(("number", "currency", "error"), WRONG)
def test_a_wrong_new_amount_of_a_settlement_is_an_error_of_its_form(
    admin_client: Client, settlement: Settlement, number: str, currency: str, error: str
) -> None:
    form = opened(admin_client, settlement)
    assert error in errors_of(form.save(amount_0=number, amount_1=currency))
    assert stored(settlement).amount == Money(100, "EUR")


@pytest.mark.parametrize(("number", "currency", "error"), [*WRONG, ("0", "EUR", "must be more than 0")])
def test_a_wrong_amount_of_a_payment_is_an_error_of_its_form(
    admin_client: Client, make_settlement: Callable[..., Settlement], number: str, currency: str, error: str
) -> None:
    settlement = make_settlement(amount=Money(100, "EUR" if currency == "XYZ" else currency))
    assert error in errors_of(_add(admin_client, settlement, amount_0=number, amount_1=currency))
    if number:  # without a number it is no new row at all
        row = new_payment(amount_0=number, amount_1=currency)
        assert error in errors_of(opened(admin_client, settlement).save(**row))
    assert not Payment.objects.exists()


def _add(client: Client, into: Settlement, **entered: Any) -> Any:
    values = {"amount_0": "100", "amount_1": "EUR", "status": "completed", "refunded_amount": "0"}
    return client.post(f"{PAYMENTS}add/", {"settlement": into.pk, **values, **entered})


def test_a_payment_that_went_back_in_part_may_be_added(admin_client: Client, settlement: Settlement) -> None:
    saved(_add(admin_client, settlement, refunded_amount="30"))
    assert settlement.payments.get().refunded == Money(30, "EUR")


@pytest.mark.parametrize("empty", ["", None])
def test_left_empty_nothing_was_refunded(
    admin_client: Client, settlement: Settlement, empty: str | None
) -> None:
    entered = {"refunded_amount": empty} if empty is not None else {}
    saved(_add(admin_client, settlement, **entered))
    assert settlement.payments.get().refunded_amount == 0


@pytest.mark.parametrize(
    ("entered", "error"),
    [
        ({"refunded_amount": "1.234"}, "EUR has at most 2 digits after the point"),
        ({"refunded_amount": "-1"}, "must be 0 or more"),
        ({"refunded_amount": "101"}, "at most what was paid, 100 EUR"),
        ({"refunded_amount": "5", "status": "pending"}, "Only money that arrived can be refunded"),
        ({"refunded_amount": "5", "status": "refunded"}, "stays completed"),
        ({"refunded_amount": "x"}, "Enter a number"),
        ({"status": "lost"}, "Select a valid choice"),
        ({"settlement": ""}, "required"),
    ],
)
def test_a_wrong_refunded_amount_is_an_error_of_the_form(
    admin_client: Client, settlement: Settlement, entered: dict[str, str], error: str
) -> None:
    assert error in errors_of(_add(admin_client, settlement, **entered))
    assert not Payment.objects.exists()


def test_a_refund_in_yen_has_no_digits(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(amount=Money(500, "JPY"))
    text = errors_of(_add(admin_client, settlement, amount_1="JPY", refunded_amount="33.33"))
    assert "JPY has no digits after the point" in text


# Currencies ---------------------------------------------------------------------------------------


def test_a_payment_in_another_currency_than_its_settlement_is_refused(
    admin_client: Client, settlement: Settlement
) -> None:
    text = errors_of(_add(admin_client, settlement, amount_1="USD"))
    assert "The settlement is in EUR: a payment in USD would count nothing. Enter it in EUR." in text


def test_a_payment_does_not_move_to_a_settlement_in_another_currency(
    admin_client: Client, make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]
) -> None:
    other = make_settlement(amount=Money(5, "JPY"))
    text = errors_of(opened(admin_client, make_payment()).save(settlement=other.pk))
    assert "The settlement is in JPY" in text


def test_what_a_program_paid_in_another_currency_can_still_be_edited(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(amount=Money(5, "JPY"))
    saved(opened(admin_client, payment).save(failure_reason="looked at"))
    assert stored(payment).failure_reason == "looked at"


def test_the_currency_of_a_payment_that_went_back_in_part_stays(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(status="completed", refunded_amount=5)
    text = errors_of(opened(admin_client, payment).save(amount_1="USD"))
    assert "€5.00 of it were refunded: its currency must stay EUR." in text


# What only the model finds ------------------------------------------------------------------------


@pytest.mark.parametrize("error_name", ["InvalidAmount", "InvalidRefund"])
@pytest.mark.parametrize("kind", ["settlement", "payment", "row"])
def test_what_only_the_model_refuses_is_an_error_of_the_form_too(
    admin_client: Client,
    make_payment: Callable[..., Payment],
    monkeypatch: pytest.MonkeyPatch,
    error_name: str,
    kind: str,
) -> None:
    from settlements import exceptions

    payment = make_payment()
    record = payment if kind == "payment" else payment.settlement
    form = opened(admin_client, record)
    entered = {"payments-0-amount_0": "25"} if kind == "row" else {"amount_0": "25"}

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise getattr(exceptions, error_name)("the model knows better")

    model = Settlement if kind == "settlement" else Payment
    with monkeypatch.context() as patch:
        patch.setattr(model, "keep_true", refuse)
        response = form.save(description="Supper", **entered)
    assert "The model knows better." in errors_of(response)
    assert stored(payment.settlement).description == "Dinner in Lisbon"
    saved(form.shown_again(response).save())
