"""Whatever happens, in whatever order: each status is right, and each letter was true when it left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements import emails
from settlements.exceptions import SettlementError
from settlements.models import Discrepancy, Payment, Settlement
from settlements.reconcile import reconcile
from tests.examples import examples
from tests.settlements.steps import domain_settings, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])
OPEN = ("pending", "partially_paid")
PAYABLE = ("EUR", "USD", "JPY")


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


# What is so, worked out anew ----------------------------------------------------------------------


def paid_for(settlement: Settlement) -> Decimal:
    """What arrived and stayed, in the settlement's currency, from the rows alone."""
    total = Decimal(0)
    for payment in Payment.objects.all():
        is_ours = payment.settlement_id == settlement.pk
        if (
            is_ours
            and payment.status == "completed"
            and payment.amount.currency == settlement.amount.currency
        ):
            total += max(payment.amount.amount - payment.refunded_amount, Decimal(0))
    return total


def by_payments(settlement: Settlement) -> str:
    paid = paid_for(settlement)
    if paid >= settlement.amount.amount:
        return "completed"
    return "partially_paid" if paid else "pending"


def owed_for(settlement: Settlement) -> Decimal:
    """What its row of this moment says that somebody has to pay."""
    if settlement.status not in OPEN:
        return Decimal(0)
    return max(settlement.amount.amount - paid_for(settlement), Decimal(0))


def why_untrue(template_type: str, text: str, settlement: Settlement, payment: Payment | None) -> str:
    """What is wrong with a letter that leaves at this moment; empty if nothing is."""
    owed, status = owed_for(settlement), settlement.status
    if template_type.startswith(("reminder_", "settlement_created", "settlement_reopened")) and not owed:
        return "nothing is owed"
    if template_type == "settlement_completed" and status != "completed":
        return f"it is {status}"
    if template_type == "settlement_cancelled" and status != "cancelled":
        return f"it is {status}"
    if template_type == "settlement_updated" and status == "cancelled":
        return "it is cancelled"
    if payment is not None and payment.settlement_id != settlement.pk:
        return "the payment is another settlement's"
    if payment is not None and not is_news(template_type, payment, owed):
        return f"the payment is {payment.status}"
    number = f"{owed:,.0f}" if str(settlement.amount.currency) == "JPY" else f"{owed:,.2f}"
    lines = " ".join(text.split())
    if owed and number not in lines:
        return f"{number} is owed, and it does not say so"
    asks = [words for words in ("Still to pay", "is still to be paid", "Please pay") if words in lines]
    return f"nothing is owed, and it says {asks}" if asks and not owed else ""


def is_news(template_type: str, payment: Payment, owed: Decimal) -> bool:
    went_back = payment.status == "refunded" or (
        payment.status == "completed" and payment.refunded_amount > 0
    )
    return {
        "payment_received": payment.status == "completed",
        "payment_failed": payment.status == "failed" and owed > 0,
        "payment_refunded": went_back,
    }[template_type]


# What happens -------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """The settlements, and what was decided about each, kept beside the product."""

    payer: User
    settlements: list[Settlement] = field(default_factory=list)
    decided: dict[Any, tuple[str, Decimal]] = field(default_factory=dict)
    written_past_save: set[Any] = field(default_factory=set)

    def settlement(self, number: int) -> Settlement:
        return Settlement.objects.get(pk=self.settlements[number % len(self.settlements)].pk)

    def payment(self, number: int) -> Payment | None:
        rows = list(Payment.objects.order_by("created_at", "pk"))
        return rows[number % len(rows)] if rows else None

    def note_saved_status(self, before: Settlement, has_reason: bool) -> None:
        """A status that a save changed: a decision, unless the payments say the same."""
        now = Settlement.objects.get(pk=before.pk)
        self.written_past_save.discard(before.pk)
        covered = by_payments(now) == "completed" and not has_reason
        if now.status == "cancelled" or (now.status == "completed" and not covered):
            self.decided[now.pk] = (now.status, paid_for(now))
        else:
            self.decided.pop(now.pk, None)

    def adopt(self) -> None:
        """The reconciler takes what was written past `save()` for a decision."""
        for pk in self.written_past_save:
            settlement = Settlement.objects.get(pk=pk)
            covered = settlement.status == "completed" and by_payments(settlement) == "completed"
            if settlement.status == "cancelled":
                self.decided[pk] = ("cancelled", Decimal(0))
            elif settlement.status == "completed" and not covered:
                self.decided[pk] = ("completed", paid_for(settlement))
            elif settlement.status in OPEN:
                self.decided.pop(pk, None)
        self.written_past_save.clear()

    def run_jobs(self) -> None:
        before = {row.pk: row.status for row in Settlement.objects.all()}
        run_soon()
        for row in Settlement.objects.all():
            if row.status != before[row.pk]:
                self.follow(row, before[row.pk])

    def follow(self, row: Settlement, before: str) -> None:
        """A job changed the status: only where no decision stood, or money on which it rested went back."""
        status, paid = self.decided.get(row.pk, ("", Decimal(0)))
        if row.pk not in self.written_past_save and status == before:
            assert status == "completed" and paid_for(row) < paid, f"a job undid the decision {status}"
        self.decided.pop(row.pk, None)
        self.written_past_save.discard(row.pk)

    def reconcile(self, full: bool) -> None:
        statuses = {row.pk: row.status for row in Settlement.objects.all()}
        self.adopt()
        reconcile(full=full)
        for pk, (status, _paid) in self.decided.items():
            assert Settlement.objects.get(pk=pk).status == statuses[pk] == status, (
                "reconcile undid a decision"
            )


def create_payment(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    settlement = ledger.settlement(one)
    payment = Payment(settlement=settlement, amount=money, status=status)
    if how == "bulk":
        Payment.objects.bulk_create([payment])
    else:
        payment.save()


def change_payment(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    payment = ledger.payment(one)
    if payment is None:
        return
    if how == "bulk":
        Payment.objects.filter(pk=payment.pk).update(status=status)
    elif how == "bulk_update":
        payment.status, payment.amount = status, money
        Payment.objects.bulk_update([payment], ["status", "amount", "amount_currency"])
    else:
        payment.status = status
        payment.save(update_fields=["status"] if how == "named" else None)


def change_amount(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    rows: list[Any] = [ledger.settlement(one), ledger.payment(one)]
    row = rows[two % 2] or rows[0]
    if how == "bulk":
        type(row).objects.filter(pk=row.pk).update(amount=money.amount, amount_currency=str(money.currency))
    else:
        row.amount = money
        row.save(update_fields=["amount"] if how == "named" else None)


def refund(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    payment = ledger.payment(one)
    if payment is None:
        return
    if how == "bulk":
        Payment.objects.filter(pk=payment.pk).update(refunded_amount=money.amount)
    else:
        payment.refunded_amount = money.amount
        payment.save(update_fields=["refunded_amount"] if how == "named" else None)


def move(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    payment, settlement = ledger.payment(one), ledger.settlement(two)
    if payment is not None and how == "bulk":
        Payment.objects.filter(pk=payment.pk).update(settlement=settlement)
    elif payment is not None:
        payment.settlement = settlement
        payment.save(update_fields=["settlement"] if how == "named" else None)


def delete(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    payment = ledger.payment(one)
    if payment is None:
        return
    rows = Payment.objects.filter(pk=payment.pk)
    if how == "raw":
        Discrepancy.objects.filter(payment=payment).update(payment=None)
        rows._raw_delete("default")
    elif how == "bulk":
        rows.delete()
    else:
        payment.delete()


def decide(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    settlement = ledger.settlement(one)
    wanted = ("completed", "cancelled", "pending", "partially_paid")[two % 4]
    if settlement.status == wanted:
        return
    if how == "bulk":
        Settlement.objects.filter(pk=settlement.pk).update(status=wanted)
        ledger.written_past_save.add(settlement.pk)
        return
    settlement.status = wanted
    if how == "raw":
        settlement.by_decision_of(ledger.payer, "paid in cash")
    settlement.save(update_fields=["status"] if how == "named" else None)
    ledger.note_saved_status(settlement, how == "raw")


def save_stale(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    """An instance that was loaded before a payment arrived, or the settlement was closed, is saved."""
    stale, other = ledger.settlement(one), ledger.settlement(one)
    if two % 2:
        Payment.objects.create(settlement=other, amount=money, status="completed")
        run = ledger.run_jobs
        run()
    elif other.status != "cancelled":
        other.status = "cancelled"
        other.save()
        ledger.note_saved_status(other, False)
    stale.description += "!"
    stale.save(update_fields=["description"] if how == "named" else None)


def run_jobs(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    ledger.run_jobs()


def reconcile_quickly(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    ledger.reconcile(full=False)


def reconcile_thoroughly(ledger: Ledger, one: int, two: int, money: Money, status: str, how: str) -> None:
    ledger.reconcile(full=True)


STEPS = st.tuples(
    st.sampled_from(
        [create_payment, create_payment, change_payment, change_amount, refund, move, delete, decide]
        + [save_stale, run_jobs, reconcile_quickly, reconcile_thoroughly]
    ),
    st.integers(0, 3),
    st.integers(0, 3),
    st.builds(
        Money, st.sampled_from([10, 20, 30, 50, 100]), st.sampled_from(["EUR", "EUR", "EUR", "USD", "JPY"])
    ),
    st.sampled_from(["completed", "completed", "pending", "failed", "refunded"]),
    st.sampled_from(["save", "named", "bulk", "bulk_update", "raw"]),
)


@contextmanager
def undone() -> Iterator[None]:
    """A world that leaves nothing behind."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def a_world() -> Ledger:
    payer, payee = (User.objects.create_user(name, f"{name}@example.com") for name in ("pia", "emil"))
    ledger = Ledger(payer)
    for amount in (Money(50, "EUR"), Money(100, "EUR"), Money(100, "JPY"), Money(0, "EUR")):
        ledger.settlements.append(
            Settlement.objects.create(
                description=f"Rent {amount.amount}",
                payer=payer,
                payee=payee,
                amount=amount,
                due_date=timezone.now() + timedelta(days=10),
            )
        )
    return ledger


@pytest.fixture
def untrue(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was wrong with the letters that left, judged as each of them left."""
    found: list[str] = []
    asked: list[tuple[str, dict[str, Any]]] = []
    render, send = emails.render, emails.send

    def remember(template_type: str, subject: str, data: dict[str, Any], **more: Any) -> Any:
        asked.append((template_type, data))
        return render(template_type, subject, data, **more)

    def judge(rendered: emails.RenderedEmail, recipient: str, message_id: str) -> str:
        template_type, data = asked[-1]
        payment = Payment.objects.get(pk=data["payment_id"]) if "payment_id" in data else None
        settlement = Settlement.objects.get(pk=data["settlement_id"])
        trouble = why_untrue(template_type, rendered.text, settlement, payment)
        found.extend([f"{template_type}: {trouble}\n{rendered.text}"] if trouble else [])
        return send(rendered, recipient, message_id)

    monkeypatch.setattr(emails, "render", remember)
    monkeypatch.setattr(emails, "send", judge)
    return found


def play(ledger: Ledger, steps: list[tuple[Any, ...]]) -> None:
    for step, *arguments in steps:
        try:
            with transaction.atomic():
                step(ledger, *arguments)
        except SettlementError:
            continue  # refused, and nothing was written
    ledger.reconcile(full=False)
    ledger.reconcile(full=True)
    ledger.run_jobs()


def check(ledger: Ledger) -> None:
    for settlement in Settlement.objects.all():
        status, paid = ledger.decided.get(settlement.pk, ("", Decimal(0)))
        expected = {status} if status else {by_payments(settlement)}
        if status == "completed" and paid_for(settlement) >= settlement.amount.amount:
            expected = {"completed"}
        assert settlement.status in expected, (settlement.description, status, paid, by_payments(settlement))
        assert settlement.open_amount() == Money(_open(settlement, status, paid), settlement.amount.currency)
    assert not Job.objects.filter(state="failed").exists()


def _open(settlement: Settlement, status: str, paid: Decimal) -> Decimal:
    """A decision whose money went away unseen stays, but what is missing is shown."""
    missing = max(settlement.amount.amount - paid_for(settlement), Decimal(0))
    is_shaky = status == "completed" and paid_for(settlement) < paid
    return missing if is_shaky or not status else Decimal(0)


@hypothesis_settings(
    max_examples=examples(40),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=14))
def test_status_and_letters_are_right_after_any_sequence_of_changes(
    untrue: list[str], steps: list[tuple[Any, ...]]
) -> None:
    untrue.clear()
    with undone():
        ledger = a_world()
        play(ledger, steps)
        check(ledger)
        assert untrue == []
