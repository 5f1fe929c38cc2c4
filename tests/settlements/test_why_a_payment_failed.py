"""What a payment failed for: who reads it, how long it may be, and until when it is true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import AuditEntry
from settlements.exceptions import InvalidFailureReason
from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.jobqueue.api.steps import ask as ask_api
from tests.jobqueue.api.steps import get, problem, read
from tests.settlements.admin_steps import ask, give_reason, history_of, page_of
from tests.settlements.steps import domain_settings, run_soon, stored

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MakePayment = Callable[..., Payment]
Change = Callable[[Payment], None]
OWN, TOLD = "looks like fraud, ticket 7", "Your bank declined it."


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def fail(client: Client, payment: Payment, **body: str) -> object:
    """Fail it over HTTP."""
    return ask_api(client, "POST", f"payments/{payment.pk}/fail/", {"reason": OWN, **body})


def letters() -> str:
    """All that was sent to the payer of payments that failed."""
    run_soon()
    return " ".join(str(one.body) for one in mail.outbox if "did not go through" in str(one.body))


# Who reads it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["", TOLD])
def test_the_payer_reads_what_is_said_to_the_payer_and_never_the_operators_reason(
    admin_client: Client, make_payment: MakePayment, told: str
) -> None:
    payment = make_payment()
    give_reason(admin_client, "fail", payment, reason=OWN, failure_reason=told)
    text = letters()
    assert text and OWN not in text and (TOLD in text) is bool(told)
    assert stored(payment).failure_reason == told
    because = f", because “{told}”" if told else ""
    assert history_of(payment) == [f"Marked as failed: pending → failed{because}. Reason: {OWN}"]


def test_over_http_it_is_the_same(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment()
    shown = read(fail(admin_client, payment, failure_reason=TOLD))  # type: ignore[arg-type]
    text = letters()
    assert (shown["failure_reason"], TOLD in text, OWN in text) == (TOLD, True, False)


def test_the_form_says_who_reads_what(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment()
    text = text_of(ask(admin_client, "fail", payment))
    assert "What the payer reads" in text and "Stands in the letter to the payer" in text
    assert "failure_reason" not in ask(admin_client, "complete", payment).context["form"].fields
    for page in (payment, payment.settlement):
        assert "The payer reads it where the payment is failed." in text_of(admin_client.get(page_of(page)))


def test_one_that_fails_again_tells_nothing_of_the_first_time(
    admin_client: Client, make_payment: MakePayment
) -> None:
    payment = make_payment(status="completed", failure_reason="card expired")
    give_reason(admin_client, "fail", payment)
    assert stored(payment).failure_reason == ""


# How long it may be -------------------------------------------------------------------------------


def test_what_is_too_long_is_refused_by_its_name(make_payment: MakePayment) -> None:
    payment = make_payment()
    with pytest.raises(InvalidFailureReason, match="at most 200 characters, not 201"):
        payment.fail("x" * 201)
    payment.fail("x" * 200)
    assert payment.failure_reason == "x" * 200


def test_too_long_is_an_error_of_the_form(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment()
    response = give_reason(admin_client, "fail", payment, reason=OWN, failure_reason="x" * 201)
    assert "at most 200" in " ".join(response.context["form"].errors["failure_reason"])
    assert response.context["form"]["reason"].value() == OWN and stored(payment).status == "pending"


def test_too_long_is_an_error_of_the_api(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment()
    [error] = problem(fail(admin_client, payment, failure_reason="x" * 201), 422)["errors"]  # type: ignore[arg-type]
    assert (error["field"], error["code"]) == ("failure_reason", "max_length")
    assert stored(payment).status == "pending"


def test_the_reason_of_the_operator_may_be_longer(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment()
    give_reason(admin_client, "fail", payment, reason="x" * 500)
    assert "x" * 500 in history_of(payment)[0]


# Until when it is true ----------------------------------------------------------------------------


def complete_by_verb(payment: Payment) -> None:
    payment.complete()
    payment.save()


def complete_by_verb_alone(payment: Payment) -> None:
    payment.complete()
    payment.save(update_fields=["status"])


def complete_by_status(payment: Payment) -> None:
    payment.status = "completed"
    payment.save()


def complete_by_status_alone(payment: Payment) -> None:
    payment.status = "completed"
    payment.save(update_fields=["status"])


def complete_stale(payment: Payment) -> None:
    """By an instance from before it failed."""
    stale = Payment.objects.get(pk=payment.pk)
    stale.__dict__["failure_reason"] = "older"
    complete_by_status_alone(stale)


@pytest.mark.parametrize(
    "change",
    [
        complete_by_verb,
        complete_by_verb_alone,
        complete_by_status,
        complete_by_status_alone,
        complete_stale,
    ],
)
def test_what_it_failed_for_ends_with_the_failure(make_payment: MakePayment, change: Change) -> None:
    payment = make_payment(status="failed", failure_reason="card declined")
    change(payment)
    assert (stored(payment).status, stored(payment).failure_reason) == ("completed", "")


@pytest.mark.parametrize("names", [None, ["status"], ["amount"]])
def test_what_is_still_failed_keeps_it(make_payment: MakePayment, names: list[str] | None) -> None:
    payment = make_payment(status="failed", failure_reason="card declined")
    payment.save(update_fields=names)
    assert stored(payment).failure_reason == "card declined"


@pytest.fixture
def left_over(settlement: Settlement, make_payment: MakePayment) -> Payment:
    """A completed payment whose row still has why it once failed."""
    payment = make_payment(settlement, status="failed", failure_reason="card declined")
    Payment.objects.filter(pk=payment.pk).update(status="completed")
    payment.refresh_from_db()
    return payment


def test_no_face_shows_it_of_a_payment_that_is_not_failed(
    admin_client: Client, settlement: Settlement, left_over: Payment
) -> None:
    assert get(admin_client, f"payments/{left_over.pk}/")["failure_reason"] == ""
    lines = admin_client.get(page_of(settlement)).context["timeline"].past
    assert not [line for line in lines if "card declined" in line.detail]
    Payment.objects.update(status="failed")
    assert get(admin_client, f"payments/{left_over.pk}/")["failure_reason"] == "card declined"


def test_the_history_keeps_what_it_was(admin_client: Client, make_payment: MakePayment) -> None:
    payment = make_payment(status="failed", failure_reason="card declined. Reason: 05")
    give_reason(admin_client, "complete", payment)
    told = "Completed: failed, because “card declined. reason: 05” → completed"
    assert history_of(payment) == [f"{told}. Reason: by agreement"]
    assert AuditEntry.objects.get().reason == "by agreement"
