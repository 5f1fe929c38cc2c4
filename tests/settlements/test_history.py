"""Settlements that were over before this system heard of them are silent, unless somebody asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import drain, run_job
from settlements.jobs import add_email_notification_job, add_settlement_reminder_job
from settlements.models import EmailDelivery, Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import (
    REMINDER,
    domain_settings,
    emails_sent,
    reminders_of,
    run_soon,
    stored,
    waiting_of,
)

DAY = timedelta(days=1)
LONG_AGO = 100 * DAY

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def new(payer: User, payee: User) -> Callable[..., Settlement]:
    """Makes settlements that are not saved yet."""

    def make(**values: Any) -> Settlement:
        defaults: dict[str, Any] = {
            "description": "Rent",
            "payer": payer,
            "payee": payee,
            "amount": Money(100, "EUR"),
            "due_date": timezone.now() + 10 * DAY,
        }
        return Settlement(**defaults | values)

    return make


New = Callable[..., Settlement]
Store = Callable[[Settlement, Path], None]


def by_save(settlement: Settlement, folder: Path) -> None:
    settlement.save()


def in_bulk(settlement: Settlement, folder: Path) -> None:
    Settlement.objects.bulk_create([settlement])
    reconcile(full=False)


def in_bulk_and_not_reconciled(settlement: Settlement, folder: Path) -> None:
    Settlement.objects.bulk_create([settlement])


def from_a_fixture(settlement: Settlement, folder: Path) -> None:
    """As somebody writes it by hand: with what the form shows, and no markers."""
    fields = {
        "description": settlement.description,
        "payer": settlement.payer_id,
        "payee": settlement.payee_id,
        "amount": str(settlement.amount.amount),
        "amount_currency": "EUR",
        "due_date": settlement.due_date.isoformat(),
        "status": settlement.status,
        "history": settlement.history,
        "created_at": settlement.created_at.isoformat(),
        "updated_at": timezone.now().isoformat(),
    }
    path = folder / "history.json"
    row = {"model": "settlements.settlement", "pk": str(settlement.pk), "fields": fields}
    path.write_text(json.dumps([row]))
    call_command("loaddata", str(path), verbosity=0)


STORED = [by_save, in_bulk, from_a_fixture]
EVERY_WAY = [*STORED, in_bulk_and_not_reconciled]
every_way = pytest.mark.parametrize("store", EVERY_WAY)
once_stored = pytest.mark.parametrize("store", STORED)
OVER: list[dict[str, Any]] = [
    {"status": "completed"},
    {"status": "cancelled"},
    {"due": -LONG_AGO},
    {"due": -LONG_AGO, "created": -LONG_AGO - 10 * DAY},
]
over = pytest.mark.parametrize("what", OVER, ids=["completed", "cancelled", "past due", "old"])


def made(new: New, what: dict[str, Any], **more: Any) -> Settlement:
    values = {"status": what.get("status", "pending"), **more}
    now = timezone.now()
    if "due" in what:
        values["due_date"] = now + what["due"]
    if "created" in what:
        values["created_at"] = now + what["created"]
    return new(**values)


def everything() -> list[tuple[str, str]]:
    """What went out once all that is due was done, the reconciler included."""
    run_soon()
    reconcile(full=True)
    run_soon()
    return emails_sent()


# Silent -----------------------------------------------------------------------------------------------


@every_way
@over
def test_history_is_silent(new: New, tmp_path: Path, store: Store, what: dict[str, Any]) -> None:
    store(made(new, what), tmp_path)
    assert everything() == []


@once_stored
@over
def test_history_says_that_it_is(new: New, tmp_path: Path, store: Store, what: dict[str, Any]) -> None:
    settlement = made(new, what)
    store(settlement, tmp_path)
    assert stored(settlement).history is True


@every_way
@over
def test_history_keeps_its_status(new: New, tmp_path: Path, store: Store, what: dict[str, Any]) -> None:
    settlement = made(new, what)
    store(settlement, tmp_path)
    everything()
    assert stored(settlement).status == what.get("status", "pending")


@every_way
@over
@pytest.mark.parametrize("status", ["completed", "failed", "refunded"])
def test_payments_of_history_are_silent(
    new: New, tmp_path: Path, store: Store, what: dict[str, Any], status: str
) -> None:
    if what.get("status") == "cancelled" and status == "completed":
        what = {"status": "completed"}  # money for a cancelled debt is too much
    settlement = made(new, what)
    store(settlement, tmp_path)
    Payment.objects.create(settlement=settlement, amount=Money(40, "EUR"), status=status)
    assert everything() == []


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_history_and_its_payments_written_in_bulk_are_silent(new: New, status: str) -> None:
    settlement = new(status="completed")
    Settlement.objects.bulk_create([settlement])
    payments = [Payment(settlement=settlement, amount=Money(100, "EUR"), status=status)]
    Payment.objects.bulk_create(payments)
    reconcile(full=True)
    assert everything() == []


@once_stored
@over
def test_a_payee_hears_of_history_that_was_paid_too_much(
    new: New, tmp_path: Path, store: Store, what: dict[str, Any]
) -> None:
    settlement = made(new, what)
    store(settlement, tmp_path)
    Payment.objects.create(settlement=settlement, amount=Money(130, "EUR"), status="completed")
    assert everything() == [("payment_received", "payee@example.com")]


def test_the_letter_says_how_much_was_too_much(new: New) -> None:
    settlement = made(new, {"status": "completed"})
    settlement.save()
    Payment.objects.create(settlement=settlement, amount=Money(130, "EUR"), status="completed")
    run_soon()
    [message] = mail.outbox
    assert "€30.00" in message.body


def test_the_plan_of_history_is_empty(new: New) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    settlement.due_date = timezone.now() + 5 * DAY
    settlement.save()
    assert waiting_of(settlement, REMINDER) == []


@pytest.mark.parametrize(("field", "value"), [("description", "Supper"), ("amount", Money(7, "EUR"))])
def test_changes_of_history_are_silent(new: New, field: str, value: Any) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    setattr(settlement, field, value)
    settlement.save()
    assert everything() == []


def test_history_that_is_cancelled_by_hand_is_silent(new: New) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    settlement.cancel()
    settlement.save()
    assert everything() == []


def test_history_that_is_paid_is_silent(new: New) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    assert everything() == []
    assert stored(settlement).status == "completed"


def test_a_new_payer_of_history_is_silent(new: New, django_user_model: type[User]) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    settlement.payer = django_user_model.objects.create_user("olga", "olga@example.com")
    settlement.save()
    assert everything() == []


# No history ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("due", [timedelta(minutes=5), -DAY, -2 * DAY])
def test_what_still_has_a_reminder_ahead_is_no_history(new: New, due: timedelta) -> None:
    settlement = made(new, {"due": due})
    settlement.save()
    assert stored(settlement).history is False
    run_soon()
    assert ("settlement_created", "payer@example.com") in emails_sent()


@pytest.mark.parametrize("due", [-3 * DAY - timedelta(minutes=1), -3 * DAY + timedelta(minutes=1)])
def test_history_begins_when_the_last_overdue_reminder_would_have_gone(new: New, due: timedelta) -> None:
    settlement = made(new, {"due": due})
    settlement.save()
    assert stored(settlement).history is (due < -3 * DAY)


def test_a_settlement_of_nothing_is_silent_and_no_history(new: New) -> None:
    settlement = new(amount=Money(0, "EUR"))
    settlement.save()
    assert everything() == []
    assert (stored(settlement).status, stored(settlement).history) == ("completed", False)


@once_stored
def test_what_is_called_no_history_is_told(new: New, tmp_path: Path, store: Store) -> None:
    settlement = made(new, {"due": -LONG_AGO}, history=False)
    store(settlement, tmp_path)
    Payment.objects.create(settlement=settlement, amount=Money(10, "EUR"), status="completed")
    assert ("payment_received", "payee@example.com") in everything()


@every_way
def test_what_is_called_history_is_silent(new: New, tmp_path: Path, store: Store) -> None:
    settlement = new(history=True)
    store(settlement, tmp_path)
    Payment.objects.create(settlement=settlement, amount=Money(10, "EUR"), status="completed")
    assert everything() == []


def test_what_was_written_in_bulk_and_paid_before_the_reconciler_met_it_is_told(new: New) -> None:
    settlement = new()
    Settlement.objects.bulk_create([settlement])
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    assert ("settlement_completed", "payer@example.com") in everything()


def test_an_instance_of_before_the_reconciler_does_not_make_history_alive(new: New) -> None:
    settlement = new(status="completed")
    Settlement.objects.bulk_create([settlement])
    reconcile(full=False)
    settlement.description = "Supper"
    settlement.save()
    assert stored(settlement).history is True


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_history_that_is_opened_again_by_hand_is_alive(new: New, status: str) -> None:
    settlement = new(status=status)
    settlement.save()
    settlement.reopen()
    settlement.save()
    assert stored(settlement).history is False
    assert reminders_of(settlement)
    drain()
    run_soon()
    assert ("settlement_reopened", "payer@example.com") in emails_sent()


def test_what_is_called_history_later_has_no_plan_any_more(settlement: Settlement) -> None:
    settlement.history = True
    settlement.save()
    assert waiting_of(settlement, REMINDER) == []


def test_what_is_called_no_history_later_gets_its_plan_with_the_save(new: New) -> None:
    settlement = new(history=True)
    settlement.save()
    settlement.history = False
    settlement.save()
    assert ("final", 0) in reminders_of(settlement)


def test_a_reminder_asked_for_by_hand_goes_out(new: New) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    run_job(add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "final"))
    run_soon()
    assert emails_sent() == [("reminder_final", "payer@example.com")]


def test_a_letter_that_a_program_asks_for_goes_out(new: New) -> None:
    settlement = made(new, {"due": -LONG_AGO})
    settlement.save()
    data = {"settlement_id": str(settlement.pk)}
    run_job(add_email_notification_job(None, "user@example.com", "", "settlement_reminder", data))
    assert emails_sent() == [("settlement_reminder", "user@example.com")]
    assert not Job.objects.failed().exists()
    assert EmailDelivery.objects.count() == 1
