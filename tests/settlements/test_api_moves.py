"""What the admin does to settlements and payments, over HTTP: by the same verbs, and refused alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import AuditEntry, Job
from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator
from tests.jobqueue.api.steps import ask, problem, read
from tests.settlements.admin_steps import history_of
from tests.settlements.steps import STATUS_CHECK, at_once, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

REASON = {"reason": "by agreement"}
_PAID = Money("84.50", "EUR")


class Verb(NamedTuple):
    """An address, what it takes, a status in which it may be asked for, and what is then true of the row."""

    path: str
    permission: str
    before: str
    after: dict[str, Any]
    history: str


OF_SETTLEMENTS = [
    Verb("complete", "complete", "pending", {"status": "completed"}, "Completed: pending → completed."),
    Verb("cancel", "cancel", "pending", {"status": "cancelled"}, "Cancelled: pending → cancelled."),
    Verb("reopen", "reopen", "cancelled", {"status": "pending"}, "Reopened: cancelled → pending."),
    Verb("send-reminder", "remind", "pending", {"status": "pending"}, "Reminded: job #"),
    Verb("pause-reminders", "pause", "pending", {"reminders_paused": True}, "Pause: reminders go out"),
    Verb("resume-reminders", "resume", "paused", {"reminders_paused": False}, "Resume: reminders paused"),
]
OF_PAYMENTS = [
    Verb("start", "start", "pending", {"status": "processing"}, "Marked as processing: pending"),
    Verb("complete", "complete", "pending", {"status": "completed"}, "Completed: pending → completed."),
    Verb("fail", "fail", "pending", {"status": "failed", "failure_reason": ""}, "Marked as failed"),
    Verb("refund", "refund", "completed", {"status": "refunded"}, "Refunded: completed → refunded."),
    Verb("take-refund-back", "take_back", "refunded", {"status": "completed"}, "Taken back from being"),
]
EACH = pytest.mark.parametrize(
    ("kind", "verb"),
    [
        *(pytest.param("settlement", one, id=f"settlement-{one.path}") for one in OF_SETTLEMENTS),
        *(pytest.param("payment", one, id=f"payment-{one.path}") for one in OF_PAYMENTS),
    ],
)
Rows = Callable[[str, str], Any]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def make_row(make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]) -> Rows:
    """A settlement or a payment in that status; a settlement may be `paused` too."""

    def make(kind: str, status: str) -> Any:
        if kind == "payment":
            return make_payment(status=status)
        if status == "paused":
            return make_settlement(reminders_paused=True)
        return make_settlement(status=status)

    return make


def client_for(kind: str, *verbs: str, username: str = "operator") -> Client:
    """Who may look at rows of this kind, and do this to them."""
    return operator(*(f"settlements.{verb}_{kind}" for verb in ("view", *verbs)), username=username)


def do(client: Client, row: Any, path: str, body: Any = None, key: str = "one") -> HttpResponse:
    """Ask for it, with a reason; what takes a key gets one."""
    address = f"{row._meta.model_name}s/{row.pk}/{path}/"
    return ask(client, "POST", address, REASON if body is None else body, **{"Idempotency-Key": key})


@EACH
def test_a_verb_is_done_with_its_permission_and_written_down(make_row: Rows, kind: str, verb: Verb) -> None:
    row = make_row(kind, verb.before)
    shown = read(do(client_for(kind, verb.permission), row, verb.path))
    row.refresh_from_db()
    for name, value in verb.after.items():
        assert shown[name] == getattr(row, name) == value
    [said] = history_of(row)
    assert said.startswith(verb.history) and said.endswith("Reason: by agreement")
    assert AuditEntry.objects.get().who == "operator"


@EACH
def test_a_verb_without_its_permission_is_refused_by_name(make_row: Rows, kind: str, verb: Verb) -> None:
    row, every = make_row(kind, verb.before), OF_PAYMENTS if kind == "payment" else OF_SETTLEMENTS
    others = {one.permission for one in every} - {verb.permission}
    refused = problem(do(client_for(kind, *others), row, verb.path), 403)
    assert refused["detail"] == f"That takes the permission settlements.{verb.permission}_{kind}."
    assert not AuditEntry.objects.exists()


@EACH
def test_a_verb_a_second_time_is_refused_as_in_the_admin(make_row: Rows, kind: str, verb: Verb) -> None:
    row, client = make_row(kind, verb.before), client_for(kind, verb.permission)
    read(do(client, row, verb.path))
    refused = problem(do(client, row, verb.path, key="two"), 409)
    assert refused["code"] == "wrong_state"
    assert refused["detail"].startswith(f"1 {kind} cannot be ") and "and was left alone" in refused["detail"]
    assert len(history_of(row)) == 1


@EACH
@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x" * 501}, {"reason": "a\x00"}])
def test_a_verb_takes_a_reason(make_row: Rows, kind: str, verb: Verb, body: dict[str, str]) -> None:
    row = make_row(kind, verb.before)
    refused = problem(do(client_for(kind, verb.permission), row, verb.path, body), 422)
    assert [one["field"] for one in refused["errors"]] == ["reason"]
    assert not history_of(row)


@pytest.mark.parametrize("key", ["00000000-0000-0000-0000-000000000000", "-" * 36])
def test_of_what_is_not_there_nothing_is_done(key: str) -> None:
    client = operator("settlements.view_settlement", "settlements.cancel_settlement")
    problem(ask(client, "POST", f"settlements/{key}/cancel/", REASON), 404)


def test_a_refusal_hides_addresses(make_settlement: Callable[..., Settlement]) -> None:
    row = make_settlement(description="for pia@example.com", status="cancelled")
    refused = problem(do(client_for("settlement", "cancel"), row, "cancel"), 409)
    assert "pia@example.com" not in refused["detail"]


# Single verbs -------------------------------------------------------------------------------------


def test_a_reminder_goes_to_the_payer_once_for_a_key_however_late_it_comes_again(
    settlement: Settlement,
) -> None:
    run_soon()
    mail.outbox.clear()
    client = client_for("settlement", "remind")
    read(do(client, settlement, "send-reminder"))
    refused = problem(do(client, settlement, "send-reminder", key="two"), 409)
    assert "a reminder is on its way" in refused["detail"]
    run_soon()
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    again = do(client, settlement, "send-reminder")
    assert (again.status_code, again["Idempotency-Replayed"]) == (200, "true")
    run_soon()
    assert [message.to for message in mail.outbox] == [["payer@example.com"]]


def test_the_provider_is_asked_about_unsettled_payments(
    settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    client = client_for("settlement", "check")
    refused = problem(do(client, settlement, "check-payments"), 409)
    assert refused["detail"].endswith("(no payment is unsettled).")
    payment = make_payment(settlement)
    for _time in range(2):
        read(do(client, settlement, "check-payments"))
    [check] = waiting_of(settlement, STATUS_CHECK)
    assert check.payload["payment_id"] == str(payment.pk)
    assert "Asked about: payments asked about: 1. Reason: by agreement" in history_of(settlement)
    problem(do(client_for("settlement", username="viewer"), settlement, "check-payments"), 403)


def _refunded(client: Client, payment: Payment, amount: Any, key: str = "one") -> HttpResponse:
    return do(client, payment, "refund", {**REASON, "amount": amount}, key)


def test_a_part_goes_back_once_for_a_key(make_payment: Callable[..., Payment]) -> None:
    payment, client = make_payment(amount=_PAID, status="completed"), client_for("payment", "refund")
    first, again = (_refunded(client, payment, "10.00") for _ in range(2))
    assert first.json()["refunded_amount"] == "10.00" and first.json() == again.json()
    assert again.status_code == 200 and again["Idempotency-Replayed"] == "true"
    assert Payment.objects.get().refunded_amount == Decimal(10)
    assert _refunded(client, payment, "4.50", "two").json()["refunded_amount"] == "14.50"
    assert problem(_refunded(client, payment, "5.00"), 422)["code"] == "idempotency_key_reused"
    assert len(history_of(payment)) == 2


@pytest.mark.parametrize(
    ("amount", "code"), [("99", "invalid_refund"), ("0.001", "invalid_amount"), ("0", "invalid_amount")]
)
def test_a_part_that_cannot_be_is_refused_and_keeps_no_key(
    make_payment: Callable[..., Payment], amount: str, code: str
) -> None:
    payment, client = make_payment(amount=_PAID, status="completed"), client_for("payment", "refund")
    [error] = problem(_refunded(client, payment, amount), 422)["errors"]
    assert (error["field"], error["code"]) == ("amount", code)
    assert _refunded(client, payment, "10.00").status_code == 200


def test_a_refund_takes_a_key(make_payment: Callable[..., Payment]) -> None:
    payment = make_payment(status="completed")
    assert problem(do(client_for("payment", "refund"), payment, "refund", key=""), 400)["code"] == (
        "invalid_idempotency_key"
    )


def test_a_reminder_takes_a_key(settlement: Settlement) -> None:
    refused = problem(do(client_for("settlement", "remind"), settlement, "send-reminder", key=""), 400)
    assert refused["code"] == "invalid_idempotency_key"
    assert not history_of(settlement)


# Two at once --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.every_case
@pytest.mark.parametrize(("kind", "path"), [("settlement", "complete"), ("payment", "refund")])
def test_of_two_requests_at_once_one_makes_the_effect(make_row: Rows, kind: str, path: str) -> None:
    row = make_row(kind, "completed" if kind == "payment" else "pending")

    def of(name: str) -> Callable[[], int]:
        client = Client()
        client.force_login(User.objects.create_superuser(name))
        return lambda: do(client, row, path).status_code

    assert sorted(at_once(of("ann"), of("ben"))) == [200, 409]
    assert len(history_of(row)) == AuditEntry.objects.count() == 1


STALE = [("settlement", "complete", "pending", "cancelled"), ("payment", "fail", "completed", "pending")]


@pytest.mark.parametrize(("kind", "verb", "status", "seen"), STALE)
def test_who_saw_another_status_changes_nothing(
    make_row: Rows, kind: str, verb: str, status: str, seen: str
) -> None:
    """Whoever means to fail a payment that is pending does not take back one that was completed meanwhile."""
    row = make_row(kind, status)
    refused = problem(do(client_for(kind, verb), row, verb, {**REASON, "seen": seen}), 409)
    row.refresh_from_db()
    assert (refused["code"], row.status) == ("changed_meanwhile", status)
    assert f"{status} by now, not {seen}" in refused["detail"]
    assert not history_of(row)


@pytest.mark.parametrize(
    ("kind", "verb", "seen"), [("settlement", "complete", "pending"), ("payment", "fail", "pending")]
)
def test_who_saw_its_status_changes_it(make_row: Rows, kind: str, verb: str, seen: str) -> None:
    row = make_row(kind, seen)
    assert read(do(client_for(kind, verb), row, verb, {**REASON, "seen": seen}))["status"] != seen


@pytest.mark.parametrize("seen", ["paid", "", 1])
def test_a_status_that_is_none_is_refused(make_row: Rows, seen: object) -> None:
    refused = problem(
        do(client_for("payment", "fail"), make_row("payment", "pending"), "fail", {**REASON, "seen": seen}),
        422,
    )
    assert [one["field"] for one in refused["errors"]] == ["seen"]
