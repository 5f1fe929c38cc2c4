"""The thorough run of the reconciler, and several at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
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
    EMAIL,
    REMINDER,
    STATUS_CHECK,
    at_once,
    delivered,
    domain_settings,
    emails_sent,
    events_of,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    only,
    reminders_of,
    run_soon,
    stages_of,
    stored,
    waiting_of,
)

MakeSettlement = Callable[..., Settlement]


pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.every_case]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of; its plan waits, nothing else does."""
    run_job(reminders_of(settlement)["initial", 0])
    Job.objects.exclude(processor=REMINDER).delete()
    return settlement


# The thorough run -----------------------------------------------------------------------------------


def test_deleted_reminder_jobs_are_created_again(known: Settlement) -> None:
    reminders_of(known)["final", 0].delete()
    reminders_of(known)["overdue", 1].delete()
    assert run_command() == "2 reminders created"
    assert reminders_of(known)["final", 0].run_at == known.due_date


def test_the_quick_run_leaves_that_to_the_thorough_one(known: Settlement) -> None:
    reminders_of(known)["final", 0].delete()
    assert reconcile(full=False) == {}


def test_a_reminder_that_an_operator_cancelled_stays_cancelled(known: Settlement) -> None:
    reminders_of(known)["final", 0].cancel("asked for by the payee")
    assert run_command() == "nothing was missing"
    assert ("final", 0) not in stages_of(known)


@pytest.mark.parametrize("is_pruned", [False, True])
def test_what_an_operator_cancelled_stays_cancelled_though_its_job_is_pruned(
    known: Settlement, make_payment: MakePayment, is_pruned: bool
) -> None:
    make_payment(known)
    for job in (reminders_of(known)["final", 0], only(known, STATUS_CHECK)):
        job.cancel("asked for by the payee")
    if is_pruned:
        Job.objects.filter(state=Job.State.CANCELLED).delete()
    assert run_command() == "nothing was missing"


def test_a_reminder_that_went_out_is_not_created_again(known: Settlement) -> None:
    assert delivered(known) == [("initial", 0)]
    Job.objects.all().delete()
    run_command()
    assert ("initial", 0) not in stages_of(known)


def test_reminders_that_wait_since_an_outage_are_kept(known: Settlement) -> None:
    with at(known.due_date + timedelta(hours=5)):
        assert run_command() == "nothing was missing"
        drain()
    assert delivered(known) == [("initial", 0), ("final", 0)]


def test_reminders_of_a_payer_who_was_replaced_by_an_update_go_to_the_new_one(known: Settlement) -> None:
    other = User.objects.create_user("other", "other@example.com")
    Settlement.objects.update(payer=other)
    assert run_command() == "1 payers announced"
    assert stages_of(known) == WHOLE_PLAN
    assert {job.payload["user_id"] for job in waiting_of(known, REMINDER)} == {other.pk}


def test_a_settlement_long_without_jobs_has_no_burst_of_reminders(known: Settlement) -> None:
    Job.objects.all().delete()
    with at(known.due_date + 2 * DAY):
        run_command()
        assert stages_of(known) == {("overdue", 2)}


def test_an_unsettled_payment_that_nobody_asks_about_is_asked_about(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known)
    forgotten = make_payment(known)
    waiting_of(known, STATUS_CHECK)[1].delete()
    assert run_command() == "1 payment checks created"
    [due] = Job.objects.due()
    assert (due.processor, due.payload["payment_id"]) == (STATUS_CHECK, str(forgotten.pk))


def test_a_check_that_waits_for_its_next_time_is_enough(known: Settlement, make_payment: MakePayment) -> None:
    make_payment(known)
    run_job(only(known, STATUS_CHECK))
    assert run_command() == "nothing was missing"


@pytest.mark.parametrize(("amount", "status"), [(100, "completed"), (40, "partially_paid")])
def test_a_settlement_that_payments_cover_is_completed(
    known: Settlement, make_payment: MakePayment, amount: int, status: str
) -> None:
    make_payment(known, status="completed", amount=Money(amount, "EUR"))
    Job.objects.about(known).filter(processor=AUTO_COMPLETE).delete()
    assert run_command() == "1 completions created"
    run_soon()
    assert stored(known).status == status


def test_an_amount_lowered_by_an_update_is_found_to_be_covered(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known, status="completed", amount=Money(40, "EUR"))
    run_soon()
    Settlement.objects.update(amount=40)
    assert run_command() == "1 completions created"


def test_a_payment_in_another_currency_is_left_to_whoever_closes_its_discrepancy(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known, status="completed", amount=Money(100, "USD"))
    run_soon()
    assert run_command() == "nothing was missing"


def test_a_payment_to_a_settlement_completed_by_hand_is_left_alone(
    known: Settlement, make_payment: MakePayment
) -> None:
    known.complete()
    known.save()
    make_payment(known, status="completed", amount=Money(1, "EUR"))
    run_soon()
    assert run_command() == "nothing was missing"


def test_a_loaded_settlement_gets_at_most_the_reminders_still_ahead(
    settlement: Settlement, tmp_path: object
) -> None:
    path = f"{tmp_path}/settlements.json"
    call_command("dumpdata", "settlements.settlement", output=path, verbosity=0)
    Settlement.objects.all().delete()
    Job.objects.all().delete()
    call_command("loaddata", path, verbosity=0)
    with at(settlement.created_at + DAY):
        assert run_command() == "5 reminders created"
    assert {job.processor for job in jobs_of(settlement)} == {REMINDER}
    assert not Job.objects.due().exists()


# At once --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("full", [False, True])
def test_two_reconcilers_at_once_double_nothing(payer: User, payee: User, full: bool) -> None:
    settlements = Settlement.objects.bulk_create([new_settlement(payer, payee) for _ in range(6)])
    Payment.objects.bulk_create(
        [Payment(settlement=row, amount=row.amount, status="completed") for row in settlements[:3]]
        + [Payment(settlement=row, amount=row.amount, status="pending") for row in settlements[3:]]
    )
    mended = at_once(*[partial(reconcile, full=full)] * 3)
    assert sum(counts.get("settlements announced", 0) for counts in mended) == 6
    assert sum(counts.get("payments announced", 0) for counts in mended) == 6
    for settlement in settlements:
        jobs = waiting_of(settlement)
        assert [job.processor for job in jobs].count(REMINDER) == 6
        assert len({job.unique_key for job in jobs}) == len(jobs)
    run_soon()
    # Who has paid by then is told that it is completed, and not that he owes it.
    assert emails_sent().count(("settlement_created", PAYER)) == 3
    assert emails_sent().count(("payment_received", PAYEE)) == 3
    assert emails_sent().count(("settlement_completed", PAYER)) == 3


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_reconciler_beside_a_save_of_the_same_row_doubles_nothing(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement()
    initial_reminder_went_out(settlement)
    forget_jobs()
    Settlement.objects.update(due_date=F("due_date") + DAY)
    row = stored(settlement)
    row.description = "Lunch"
    at_once(partial(reconcile, full=False), row.save, partial(reconcile, full=True))
    assert events_of(settlement) == ["settlement_updated"]
    assert len(waiting_of(settlement, REMINDER)) == 5
    assert jobs_of(settlement, EMAIL) == []
