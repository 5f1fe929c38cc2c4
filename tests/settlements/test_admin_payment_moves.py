"""What becomes of a payment is said by actions that ask for a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from moneyed import Money

from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import (
    ask,
    buttons_of,
    give_reason,
    history_of,
    opened,
    page_of,
    said,
    saved,
)
from tests.settlements.steps import stored

pytestmark = pytest.mark.django_db

MOVES = ("start", "complete", "fail", "refund", "take_refund_back")


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("start", "pending", "processing"),
        ("complete", "pending", "completed"),
        ("complete", "processing", "completed"),
        ("complete", "failed", "completed"),
        ("fail", "pending", "failed"),
        ("fail", "completed", "failed"),
        ("refund", "completed", "refunded"),
        ("take_refund_back", "refunded", "completed"),
    ],
)
def test_a_reason_moves_a_payment(
    admin_client: Client, make_payment: Callable[..., Payment], action: str, before: str, after: str
) -> None:
    payment = make_payment(status=before)
    give_reason(admin_client, action, payment)
    assert stored(payment).status == after
    assert history_of(payment)[0].endswith(f"{before} → {after}. Reason: by agreement")


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("start", "completed"),
        ("complete", "refunded"),
        ("fail", "refunded"),
        ("refund", "pending"),
        ("take_refund_back", "completed"),
    ],
)
def test_a_payment_that_cannot_be_moved_so_is_left_alone(
    admin_client: Client, make_payment: Callable[..., Payment], action: str, status: str
) -> None:
    payment = make_payment(status=status)
    [message] = said(give_reason(admin_client, action, payment))
    assert "left alone" in message and message.count(f"({status})") == 1
    assert stored(payment).status == status


def test_parts_of_a_payment_are_refunded_one_after_the_other(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "refund", payment, amount="20.50")
    assert (stored(payment).status, stored(payment).refunded) == ("completed", Money("50.50", "EUR"))
    assert "completed, €30.00 refunded → completed, €50.50 refunded" in history_of(payment)[1]


@pytest.mark.parametrize("rest", ["", "70", "70.00"])
def test_the_rest_of_a_payment_makes_it_refunded(
    admin_client: Client, make_payment: Callable[..., Payment], rest: str
) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "refund", payment, amount=rest)
    assert (stored(payment).status, stored(payment).refunded) == ("refunded", Money(100, "EUR"))


def test_a_refunded_part_is_taken_back(admin_client: Client, make_payment: Callable[..., Payment]) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "take_refund_back", payment)
    assert (stored(payment).status, stored(payment).refunded_amount) == ("completed", 0)


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("100.01", "At most €100.00 of it are left to go back, not €100.01."),
        ("0", "The amount that goes back must be more than 0"),
        ("-5", "The amount that goes back must be more than 0"),
        ("1.234", "EUR has at most 2 digits after the point"),
        ("x", "Enter a number."),
        ("NaN", "Enter a number."),
        ("1" * 16, "Ensure that there are no more than"),
    ],
)
def test_an_amount_that_cannot_go_back_is_an_error_of_the_form(
    admin_client: Client, make_payment: Callable[..., Payment], amount: str, error: str
) -> None:
    payment = make_payment(status="completed")
    response = give_reason(admin_client, "refund", payment, amount=amount)
    assert error in " ".join(response.context["form"].errors["amount"])
    assert response.context["form"]["reason"].value() == "by agreement"
    assert stored(payment).refunded_amount == 0


def test_no_part_of_a_yen_goes_back(
    admin_client: Client, make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(make_settlement(amount=Money(500, "JPY")), status="completed")
    response = give_reason(admin_client, "refund", payment, amount="33.33")
    assert "JPY has no digits after the point" in " ".join(response.context["form"].errors["amount"])
    assert 'step="1"' in text_of(ask(admin_client, "refund", payment))


def test_of_several_payments_all_that_is_left_goes_back(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payments = [make_payment(status="completed") for _ in range(2)]
    assert "amount" not in ask(admin_client, "refund", *payments).context["form"].fields
    give_reason(admin_client, "refund", *payments, amount="1")
    assert {stored(payment).status for payment in payments} == {"refunded"}


def test_a_forged_status_of_a_payment_is_ignored(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    form = opened(admin_client, payment)
    assert "status" not in form.fields
    saved(form.save(status="completed", refunded_amount="5"))
    assert (stored(payment).status, stored(payment).refunded_amount) == ("pending", 0)


@pytest.mark.parametrize("action", MOVES)
def test_payments_are_decided_with_a_permission_of_its_own(
    make_payment: Callable[..., Payment], action: str
) -> None:
    states = {"refund": "completed", "take_refund_back": "refunded"}
    payment = make_payment(status=states.get(action, "pending"))
    before = payment.status
    give_reason(operator("settlements.change_payment", "settlements.view_payment"), action, payment)
    assert stored(payment).status == before


@pytest.mark.parametrize(
    ("fields", "buttons"),
    [
        ({"status": "pending"}, ["start", "complete", "fail"]),
        ({"status": "processing"}, ["complete", "fail"]),
        ({"status": "completed"}, ["fail", "refund"]),
        ({"status": "completed", "refunded_amount": 5}, ["fail", "refund", "take_refund_back"]),
        ({"status": "failed"}, ["complete"]),
        ({"status": "refunded"}, ["take_refund_back"]),
    ],
)
def test_the_page_of_a_payment_offers_what_can_be_done(
    admin_client: Client, make_payment: Callable[..., Payment], fields: dict[str, Any], buttons: list[str]
) -> None:
    assert buttons_of(admin_client.get(page_of(make_payment(**fields)))) == buttons
