"""`/api/settlements/`, `/api/payments/` and `/api/emails/`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.db import OperationalError, connection, transaction
from django.test import Client

from jobqueue.models import AuditEntry
from settlements.models import EmailDelivery, KeptAnswer, Payment, Settlement
from tests.jobqueue.admin.steps import operator
from tests.jobqueue.api.steps import ask, get, problem
from tests.jobqueue.moments import ahead_by_its_clock
from tests.settlements.steps import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

PAYMENTS = ("settlements.view_payment", "settlements.add_payment")
DECIDE = ("settlements.complete_payment", "settlements.fail_payment")
KEY = {"Idempotency-Key": "one"}


@pytest.fixture
def payments() -> Client:
    """Who may add payments."""
    return operator(*PAYMENTS)


def _body(settlement: Settlement, amount: object = "10.00", **fields: Any) -> dict[str, Any]:
    return {"settlement": str(settlement.pk), "amount": amount, **fields}


def test_a_payment_is_added_once_for_a_key(payments: Client, settlement: Settlement) -> None:
    first = ask(payments, "POST", "payments/", _body(settlement), **KEY)
    second = ask(payments, "POST", "payments/", _body(settlement), **KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Payment.objects.get().amount.amount == Decimal("10.00")
    assert LogEntry.objects.count() == 1


def test_another_body_with_the_same_key_is_refused(payments: Client, settlement: Settlement) -> None:
    ask(payments, "POST", "payments/", _body(settlement), **KEY)

    refused = problem(ask(payments, "POST", "payments/", _body(settlement, "11.00"), **KEY), 422)

    assert (refused["code"], refused["errors"][0]["field"]) == ("idempotency_key_reused", "Idempotency-Key")
    assert Payment.objects.count() == 1


def test_the_keys_of_two_users_are_two(payments: Client, settlement: Settlement) -> None:
    for client in (payments, operator(*PAYMENTS, username="other")):
        assert ask(client, "POST", "payments/", _body(settlement), **KEY).status_code == 201

    assert Payment.objects.count() == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "a\u00e4"])
def test_a_payment_needs_a_key(payments: Client, settlement: Settlement, key: str) -> None:
    answer = ask(payments, "POST", "payments/", _body(settlement), **{"Idempotency-Key": key})

    refused = problem(answer, 400)
    assert refused["code"] == "invalid_idempotency_key"
    assert refused["detail"] == (
        "Nothing was done: a header is missing, or cannot be taken. See Idempotency-Key."
    )


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "-1",
        "0.001",
        "NaN",
        "1e30",
        10,
        None,
        "ten",
        "\x00",
        "1e2",
        " 1",
        "1_0",
        "\uff11",
        "1.",
        ".5",
        "+1",
        "",
    ],
)
def test_what_is_no_amount_is_refused_and_keeps_no_key(
    payments: Client, settlement: Settlement, amount: object
) -> None:
    refused = problem(ask(payments, "POST", "payments/", _body(settlement, amount), **KEY), 422)

    assert [error["field"] for error in refused["errors"]] == ["amount"]
    assert not Payment.objects.exists()
    assert not KeptAnswer.objects.exists()


def test_it_is_an_addition_as_in_the_admin(payments: Client, settlement: Settlement) -> None:
    ask(payments, "POST", "payments/", _body(settlement), **KEY)

    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.text) == ("Add", "Added with €10.00, pending.")
    assert LogEntry.objects.get().action_flag == ADDITION


@pytest.mark.parametrize("settlement_id", [5, "x", None, "00000000-0000-0000-0000-000000000000"])
def test_a_payment_of_no_settlement_is_refused(payments: Client, settlement_id: object) -> None:
    body = {"settlement": settlement_id, "amount": "10.00"}

    refused = problem(ask(payments, "POST", "payments/", body, **KEY), 422)

    assert [error["field"] for error in refused["errors"]] == ["settlement"]


def test_a_payment_in_another_currency_is_refused(payments: Client, settlement: Settlement) -> None:
    problem(ask(payments, "POST", "payments/", _body(settlement, currency="JPY"), **KEY), 422)


def test_unknown_fields_are_refused_by_name(payments: Client, settlement: Settlement) -> None:
    refused = problem(ask(payments, "POST", "payments/", _body(settlement, tip="1"), **KEY), 422)

    assert refused["errors"][0]["field"] == "tip"
    assert "amount" in refused["errors"][0]["detail"]


def test_a_payment_shows_in_the_standing_of_its_settlement(make_payment: Callable[..., Payment]) -> None:
    payment = make_payment(status="completed")
    client = operator("settlements.view_settlement", "settlements.view_payment")

    shown = get(client, f"settlements/{payment.settlement_id}/")

    assert Decimal(shown["paid"]) == payment.amount.amount
    assert [one["id"] for one in get(client, f"payments/?settlement={shown['id']}")["results"]] == [
        str(payment.pk)
    ]


def test_settlements_are_listed_in_pages_by_key(make_settlement: Callable[..., Settlement]) -> None:
    keys = {str(make_settlement().pk) for _ in range(3)}
    client = operator("settlements.view_settlement")

    first = get(client, "settlements/?limit=2")
    second = get(client, first["next"].removeprefix("http://testserver/api/"))

    assert {one["id"] for one in first["results"] + second["results"]} == keys


def test_settlements_of_one_moment_are_on_one_page_each(make_settlement: Callable[..., Settlement]) -> None:
    keys = {str(make_settlement().pk) for _ in range(8)}
    Settlement.objects.update(created_at=ahead_by_its_clock(timedelta()))
    client, address, shown = operator("settlements.view_settlement"), "settlements/?limit=3", []

    while address and len(shown) <= len(keys):
        body = get(client, address)
        shown += [one["id"] for one in body["results"]]
        address = (body["next"] or "").removeprefix("http://testserver/api/")

    assert shown == sorted(keys, reverse=True)


def test_the_address_of_an_e_mail_is_hidden() -> None:
    EmailDelivery.objects.create(
        message_id="<1@x>", recipient="pia@example.com", template_type="settlement_created", status="sent"
    )
    client = operator("settlements.view_emaildelivery")

    [shown] = get(client, "emails/?status=sent")["results"]

    assert shown["recipient"] == "p… at example.com"
    reader = operator("settlements.view_emaildelivery", "view_payload", username="reader")
    assert get(reader, f"emails/{shown['id']}/")["recipient"] == "pia@example.com"
    assert get(reader, "emails/")["results"][0]["recipient"] == "pia@example.com"
    assert get(client, f"emails/{shown['id']}/") == shown


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_first_status_that_is_a_decision_takes_the_permission(
    payments: Client, settlement: Settlement, status: str
) -> None:
    refused = problem(ask(payments, "POST", "payments/", _body(settlement, status=status), **KEY), 422)
    [error] = refused["errors"]
    assert (error["field"], error["code"]) == ("status", "status_not_allowed")
    assert "may be pending or processing here" in error["detail"]
    assert "settlements.complete_payment" in error["detail"]
    assert not Payment.objects.exists()
    decider = operator(
        *PAYMENTS, "settlements.complete_payment", "settlements.fail_payment", username="decider"
    )
    assert ask(decider, "POST", "payments/", _body(settlement, status=status), **KEY).status_code == 201


def test_no_payment_begins_refunded(settlement: Settlement) -> None:
    decider = operator(*PAYMENTS, *DECIDE)
    refused = problem(ask(decider, "POST", "payments/", _body(settlement, status="refunded"), **KEY), 422)
    assert "pending, processing, completed, failed" in refused["errors"][0]["detail"]


@pytest.mark.parametrize("fields", [{}, {"status": "processing"}])
def test_a_payment_begins_pending_or_processing_for_everybody(
    payments: Client, settlement: Settlement, fields: dict[str, str]
) -> None:
    answer = ask(payments, "POST", "payments/", _body(settlement, **fields), **KEY)
    assert answer.json()["status"] == fields.get("status", "pending")


# A settlement that goes meanwhile -------------------------------------------------------------------


def _deleted_beside(settlement: Settlement) -> str:
    """Delete it as somebody else does at this moment; what became of that (SQLite has one writer)."""
    if not connection.features.has_select_for_update:
        return "waits for its turn"
    try:
        with transaction.atomic():
            Settlement.objects.select_for_update(nowait=True).get(pk=settlement.pk).delete()
    except OperationalError:
        return "waits for the lock"
    finally:
        connection.close()
    return "deleted"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.every_case
def test_a_settlement_stays_while_a_payment_is_added_to_it(
    payments: Client, settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, beside = Payment.save, []

    def save_while_somebody_deletes(payment: Payment, *arguments: Any, **options: Any) -> None:
        beside.extend(at_once(lambda: _deleted_beside(settlement)))
        save(payment, *arguments, **options)

    monkeypatch.setattr(Payment, "save", save_while_somebody_deletes)

    added = ask(payments, "POST", "payments/", _body(settlement), **KEY)

    assert (added.status_code, Payment.objects.get().settlement) == (201, settlement)
    assert beside[0].startswith("waits")


@pytest.mark.parametrize("reason", ["paid in cash: at the office", ""])
def test_why_a_payment_was_added_stands_in_its_history(
    payments: Client, settlement: Settlement, reason: str
) -> None:
    ask(payments, "POST", "payments/", _body(settlement, reason=reason), **KEY)

    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.reason) == ("Add", reason)
    assert entry.text == "Added with €10.00, pending."
