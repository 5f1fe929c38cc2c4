"""What was written before decisions, refunds and deliveries were kept is taken over as it was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from settlements.models import Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import run_soon

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
BEFORE = [("settlements", "0001_initial")]
AFTER = [("settlements", "0006_kept_answers")]
TAKEN_OVER = "taken over: closed when decisions began to be kept"


class Past:
    """The tables as they were, to write rows into; `migrate()` brings them up to date."""

    def __init__(self, using: str) -> None:
        self.using = using
        executor = MigrationExecutor(connections[using])
        executor.migrate(BEFORE)
        state = MigrationExecutor(connections[using]).loader.project_state(
            [node for node in executor.loader.graph.leaf_nodes() if node[0] != "settlements"] + BEFORE
        )
        self.apps = state.apps
        users = self.model("auth", "User")
        self.people = [users.create(username=name, email=f"{name}@example.com") for name in ("pia", "emil")]

    def model(self, app: str, name: str) -> Any:
        return self.apps.get_model(app, name).objects.using(self.using)

    def settlement(self, status: str, *payments: tuple[str, int, str]) -> Any:
        """A settlement of 100 EUR with payments of (status, amount, currency)."""
        payer, payee = self.people
        row = self.model("settlements", "Settlement").create(
            payer=payer,
            payee=payee,
            amount=Decimal(100),
            amount_currency="EUR",
            due_date=timezone.now() + timedelta(days=10),
            status=status,
            announced_status=status,
            announced_due_date=None,
        )
        for number, (payment_status, amount, currency) in enumerate(payments):
            self.model("settlements", "Payment").create(
                settlement=row,
                amount=Decimal(amount),
                amount_currency=currency,
                status=payment_status,
                announced_status=payment_status,
                created_at=timezone.now() + timedelta(seconds=number),
            )
        return row

    def reminder(self, email_state: str | None, delivery: str | None) -> Any:
        """A reminder whose e-mail's job is in this state, and the status of what the e-mail left behind."""
        settlement, job = self.settlement("pending"), None
        if email_state is not None:
            job = self.model("jobqueue", "Job").create(
                processor="email.notification", queue="email", payload={}, state=email_state, timeout=60
            )
        if delivery is not None:
            self.model("settlements", "EmailDelivery").create(
                job=job,
                template_type="reminder_initial",
                recipient="pia@example.com",
                status=delivery,
                message_id=f"<{settlement.pk}@example.com>",
            )
        return self.model("settlements", "ReminderDelivery").create(
            settlement=settlement,
            reminder_type="initial",
            due_date=settlement.due_date,
            recipient=self.people[0],
            email_job=job,
        )

    def migrate(self) -> None:
        executor = MigrationExecutor(connections[self.using])
        executor.loader.build_graph()
        executor.migrate(AFTER)


@pytest.fixture
def past(request: pytest.FixtureRequest) -> Iterator[Past]:
    using = getattr(request, "param", "default")
    made = Past(using)
    yield made
    executor = MigrationExecutor(connections[using])
    executor.migrate(executor.loader.graph.leaf_nodes())


def now(past: Past, row: Any) -> Settlement:
    return Settlement.objects.using(past.using).get(pk=row.pk)


PAID = ("completed", 100, "EUR")
PART = ("completed", 40, "EUR")

DECIDED: dict[str, tuple[str, tuple[tuple[str, int, str], ...], tuple[str, int]]] = {
    "completed, nothing paid": ("completed", (), ("completed", 0)),
    "completed, a part paid": ("completed", (PART,), ("completed", 40)),
    "completed, two parts paid": ("completed", (PART, PART), ("completed", 80)),
    "completed, paid back": ("completed", (("refunded", 100, "EUR"),), ("completed", 0)),
    "completed, paid in another currency": ("completed", (("completed", 100, "USD"),), ("completed", 0)),
    "completed, paid": ("completed", (PAID,), ("", 0)),
    "completed, paid too much": ("completed", (PAID, PART), ("", 0)),
    "completed, paid in parts": ("completed", (PART, PART, ("completed", 20, "EUR")), ("", 0)),
    "cancelled": ("cancelled", (), ("cancelled", 0)),
    "cancelled, paid": ("cancelled", (PAID,), ("cancelled", 0)),
    "pending": ("pending", (), ("", 0)),
    "partially paid": ("partially_paid", (PART,), ("", 0)),
}


@pytest.mark.parametrize("past", ["default", "other"], indirect=True)
def test_what_is_closed_without_cover_counts_as_decided(past: Past) -> None:
    rows = {name: past.settlement(status, *payments) for name, (status, payments, _) in DECIDED.items()}
    past.migrate()
    taken = {name: now(past, row) for name, row in rows.items()}
    assert {name: (row.decided_status, row.decided_paid) for name, row in taken.items()} == {
        name: decided for name, (_status, _payments, decided) in DECIDED.items()
    }
    for row in taken.values():
        is_decided = bool(row.decided_status)
        assert row.decision_reason == (TAKEN_OVER if is_decided else "")
        assert row.decided_at == (row.updated_at if is_decided else None)


def test_the_reconciler_opens_nothing_that_was_closed_before(past: Past) -> None:
    rows = {name: past.settlement(status, *payments) for name, (status, payments, _) in DECIDED.items()}
    past.migrate()
    for full in (False, True, True):
        reconcile(full=full)
        run_soon(past.using)
    assert {name: now(past, row).status for name, row in rows.items()} == {
        name: status for name, (status, _payments, _decided) in DECIDED.items()
    }


def test_what_was_there_already_is_no_history_and_its_payer_was_told(past: Past) -> None:
    row = past.settlement("pending")
    past.migrate()
    settlement = now(past, row)
    assert (settlement.history, settlement.payer_term) == (False, 0)
    assert settlement.announced_payer_id == settlement.payer_id


def test_a_refunded_payment_went_back_whole_and_amounts_keep_every_digit(past: Past) -> None:
    past.settlement(
        "pending", *[(status, 99, "EUR") for status in ("refunded", "completed", "failed", "pending")]
    )
    past.model("settlements", "Payment").update(amount=Decimal("99.99"))
    past.migrate()
    payments = Payment.objects.using(past.using).all()
    assert {payment.status: payment.refunded_amount for payment in payments} == {
        "refunded": Decimal("99.99"),
        "completed": 0,
        "failed": 0,
        "pending": 0,
    }
    assert {payment.amount.amount for payment in payments} == {Decimal("99.99")}


REMINDERS: dict[tuple[str | None, str | None], str] = {
    ("completed", "sent"): "delivered",
    ("waiting", "sent"): "delivered",
    ("waiting", None): "on_its_way",
    ("active", "sending"): "on_its_way",
    ("failed", "failed"): "not_delivered",
    ("cancelled", None): "not_delivered",
    (None, None): "delivered",
}


def test_a_reminder_is_as_far_as_its_email(past: Past) -> None:
    rows = {case: past.reminder(*case) for case in REMINDERS}
    past.migrate()
    reminders = ReminderDelivery.objects.using(past.using)
    assert {case: reminders.get(pk=row.pk).status for case, row in rows.items()} == REMINDERS
