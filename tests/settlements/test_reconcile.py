"""What was written without a save is found and repaired, once."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import F
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.registry import all_reconcilers
from jobqueue.testing import run_job
from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.reconcile_steps import (
    DAY,
    PAYEE,
    PAYER,
    WHOLE_PLAN,
    MakePayment,
    new_settlement,
    run_command,
)
from tests.settlements.steps import (
    AUTO_COMPLETE,
    NOTIFICATION,
    REMINDER,
    STATUS_CHECK,
    domain_settings,
    emails_sent,
    events_of,
    give_status,
    reminders_of,
    run_soon,
    stages_of,
    stored,
    waiting_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def bulk(payer: User, payee: User) -> list[Settlement]:
    """Three settlements that no rule has met."""
    return Settlement.objects.bulk_create([new_settlement(payer, payee) for _ in range(3)])


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of; its plan waits, nothing else does."""
    run_job(reminders_of(settlement)["initial", 0])
    Job.objects.exclude(processor=REMINDER).delete()
    return settlement


def both(template_type: str) -> list[tuple[str, str]]:
    """One e-mail of that type to each of the two."""
    return [(template_type, PAYEE), (template_type, PAYER)]


# Settlements that were not saved --------------------------------------------------------------------


def test_rows_that_were_created_in_bulk_have_no_jobs_at_first(bulk: list[Settlement]) -> None:
    assert not Job.objects.exists()


@pytest.mark.parametrize("full", [False, True])
def test_a_settlement_created_in_bulk_gets_what_a_save_would_have_given_it(
    bulk: list[Settlement], full: bool
) -> None:
    assert reconcile(full=full)["settlements announced"] == 3
    for settlement in bulk:
        assert events_of(settlement) == ["settlement_created"]
        assert stages_of(settlement) == WHOLE_PLAN


def test_a_settlement_created_in_bulk_is_told_of(bulk: list[Settlement]) -> None:
    reconcile(full=False)
    run_soon()
    assert emails_sent() == sorted(3 * [("reminder_initial", PAYER), *both("settlement_created")])


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("partially_paid", "settlement_updated"),
        ("completed", "settlement_completed"),
        ("cancelled", "settlement_cancelled"),
    ],
)
def test_an_updated_status_is_told_as_a_saved_one(known: Settlement, status: str, event: str) -> None:
    Settlement.objects.filter(pk=known.pk).update(status=status)
    assert reconcile(full=False) == {"settlements announced": 1}
    assert events_of(known) == [event]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_an_updated_status_cancels_the_waiting_reminders(known: Settlement, status: str) -> None:
    Settlement.objects.filter(pk=known.pk).update(status=status)
    reconcile(full=False)
    assert reminders_of(known) == {}


def test_a_settlement_reopened_by_an_update_gets_its_plan_back(known: Settlement) -> None:
    known.complete()
    known.save()
    Settlement.objects.filter(pk=known.pk).update(status="pending")
    reconcile(full=False)
    assert "settlement_reopened" in events_of(known)
    assert ("final", 0) in stages_of(known)


def test_an_updated_due_date_moves_the_reminders(known: Settlement) -> None:
    Settlement.objects.filter(pk=known.pk).update(due_date=F("due_date") + 5 * DAY)
    reconcile(full=False)
    assert events_of(known) == ["settlement_updated"]
    assert reminders_of(known)["final", 0].run_at == known.due_date + 5 * DAY


def test_bulk_update_is_found_as_well(known: Settlement) -> None:
    known.status, known.due_date = "cancelled", known.due_date + DAY
    Settlement.objects.bulk_update([known], ["status", "due_date"])
    reconcile(full=False)
    assert events_of(known) == ["settlement_cancelled"]
    assert reminders_of(known) == {}


def test_an_update_there_and_back_is_nobodys_news(known: Settlement) -> None:
    Settlement.objects.update(status="completed")
    Settlement.objects.update(status="pending")
    assert reconcile(full=False) == {}


def test_an_update_followed_by_a_save_of_something_else_is_told(known: Settlement) -> None:
    Settlement.objects.filter(pk=known.pk).update(status="cancelled")
    row = stored(known)
    row.description = "Lunch"
    row.save()
    reconcile(full=False)
    assert "settlement_cancelled" in events_of(known)
    assert reminders_of(known) == {}


def test_an_update_followed_by_a_stale_save_is_settled_by_the_save(known: Settlement) -> None:
    stale = stored(known)
    Settlement.objects.filter(pk=known.pk).update(status="cancelled")
    stale.status = "pending"
    stale.save()
    assert reconcile(full=False) == {}
    assert stored(known).status == "pending"


def test_a_stale_save_after_the_reconciler_does_not_announce_a_settlement_again(
    bulk: list[Settlement],
) -> None:
    stale = stored(bulk[0])
    reconcile(full=False)
    stale.reminders_paused = True
    stale.save()
    assert reconcile(full=False) == {}


def test_a_due_date_updated_before_a_save_of_the_status_moves_the_reminders(known: Settlement) -> None:
    Settlement.objects.filter(pk=known.pk).update(due_date=F("due_date") + DAY)
    give_status(stored(known), "partially_paid")
    reconcile(full=False)
    assert reminders_of(known)["final", 0].run_at == known.due_date + DAY


# Payments that were not saved -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "processors"),
    [
        ("pending", [STATUS_CHECK]),
        ("processing", [STATUS_CHECK]),
        ("completed", [AUTO_COMPLETE, NOTIFICATION]),
        ("failed", [NOTIFICATION]),
        ("refunded", [NOTIFICATION]),
    ],
)
def test_a_payment_created_in_bulk_gets_what_a_save_would_have_given_it(
    known: Settlement, status: str, processors: list[str]
) -> None:
    Payment.objects.bulk_create([Payment(settlement=known, amount=known.amount, status=status)])
    assert reconcile(full=False) == {"payments announced": 1}
    assert sorted(job.processor for job in waiting_of(known) if job.processor != REMINDER) == processors


def test_an_updated_payment_completes_the_settlement(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    Payment.objects.filter(pk=payment.pk).update(status="completed")
    reconcile(full=False)
    run_soon()
    assert stored(known).status == "completed"
    assert [email for email in emails_sent() if email[0] in ("payment_received", "settlement_completed")] == [
        ("payment_received", PAYEE),
        *both("settlement_completed"),
    ]


def test_an_updated_payment_that_is_saved_again_is_told(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    Payment.objects.filter(pk=payment.pk).update(status="failed")
    row = stored(payment)
    row.failure_reason = "card expired"
    row.save()
    reconcile(full=False)
    assert "payment_failed" in events_of(known)


@pytest.mark.parametrize("status", ["refunded", "failed"])
def test_an_updated_payment_whose_money_is_gone_reopens_the_settlement(
    known: Settlement, make_payment: MakePayment, status: str
) -> None:
    make_payment(known, status="completed")
    run_soon()
    Payment.objects.update(status=status)
    reconcile(full=False)
    run_soon()
    assert stored(known).status == "pending"


# The command ----------------------------------------------------------------------------------------


def test_the_command_says_what_it_mended(bulk: list[Settlement]) -> None:
    Payment.objects.bulk_create([Payment(settlement=bulk[0], amount=Money(1, "EUR"))])
    assert run_command() == "1 payments announced, 3 settlements announced"


def test_a_second_run_mends_nothing(bulk: list[Settlement]) -> None:
    Payment.objects.bulk_create(
        [
            Payment(settlement=row, amount=Money(9, "EUR"), status=status)
            for row, status in zip(bulk, ("pending", "completed", "failed"), strict=True)
        ]
    )
    run_command()
    before = Job.objects.count()
    assert run_command() == "nothing was missing"
    assert Job.objects.count() == before


def test_a_run_after_the_work_was_done_mends_nothing(bulk: list[Settlement]) -> None:
    Payment.objects.bulk_create([Payment(settlement=bulk[0], amount=Money(100, "EUR"), status="completed")])
    run_command()
    run_soon()
    assert run_command() == "nothing was missing"


def test_the_command_finds_nothing_where_everything_was_saved(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement)
    make_payment(settlement, status="completed", amount=Money(1, "EUR"))
    assert run_command() == "nothing was missing"


def test_the_command_serves_every_database(payer: User, payee: User) -> None:
    for user in (payer, payee):
        user.save(using="other")
    settlement = new_settlement(payer, payee)
    Settlement.objects.using("other").bulk_create([settlement])
    assert run_command() == "1 settlements announced"
    assert events_of(settlement, using="other") == ["settlement_created"]
    assert not Job.objects.using("default").exists()


def test_a_reconciler_that_fails_makes_the_command_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settlement.objects, "using", _broken)
    with pytest.raises(CommandError, match="reconcilers failed: settlements"):
        call_command("jobqueue_reconcile", stdout=StringIO(), stderr=StringIO())


def _broken(alias: str) -> None:
    raise OperationalError("the database is gone")


def test_the_workers_run_the_same_reconciler() -> None:
    assert all_reconcilers()["settlements"] is reconcile
