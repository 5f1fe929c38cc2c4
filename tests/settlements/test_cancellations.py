"""What operators cancel stays cancelled, whatever becomes of the rows of the jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings as DjangoSettings

from jobqueue import jobs
from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.jobs import add_settlement_reminder_job
from settlements.models import Cancellation, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import (
    EMAIL,
    REMINDER,
    STATUS_CHECK,
    domain_settings,
    jobs_of,
    only,
    reminders_of,
    run_soon,
    stages_of,
    stored,
    waiting_of,
)

MakePayment = Callable[..., Payment]
DAY = timedelta(days=1)
PLAN = {("follow_up", 1), ("follow_up", 2), ("final", 0), ("overdue", 1), ("overdue", 2)}
FINAL = ("final", 0)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"LAPSED_AFTER": timedelta(days=100)})


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement whose payer had the initial reminder; the rest of the plan waits."""
    run_soon()
    mail.outbox.clear()
    return settlement


def cancel_alone(job: Job) -> None:
    job.cancel()


def cancel_many(job: Job) -> None:
    Job.objects.filter(pk=job.pk).cancel_all("enough")


def cancel_in_the_words_of_the_plan(job: Job) -> None:
    job.cancel("re-planned: by hand")


def cancel_in_the_admin(job: Job) -> None:
    admin = User.objects.create_superuser("operator", "operator@example.com", "pw")
    client = Client()
    client.force_login(admin)
    data = {"action": "cancel", "confirmed": "cancel", "_selected_action": [str(job.pk)]}
    client.post(reverse("admin:jobqueue_job_changelist"), data)
    job.refresh_from_db()
    assert job.state == "cancelled"


WAYS = [cancel_alone, cancel_many, cancel_in_the_words_of_the_plan, cancel_in_the_admin]


@pytest.mark.parametrize("cancel", WAYS)
def test_a_cancelled_reminder_whose_job_is_gone_stays_cancelled(
    known: Settlement, cancel: Callable[[Job], None]
) -> None:
    cancel(reminders_of(known)[FINAL])
    Job.objects.filter(state="cancelled").delete()
    reconcile(full=True)
    assert stages_of(known) == PLAN - {FINAL}


def test_the_decision_is_kept_with_the_settlement(known: Settlement) -> None:
    job = reminders_of(known)[FINAL]
    job.cancel()
    assert [row.unique_key for row in known.cancellations.all()] == [job.unique_key]


def test_cancelling_twice_is_one_decision(known: Settlement) -> None:
    job = reminders_of(known)["follow_up", 1]
    job.cancel()
    job.retry()
    job.cancel()
    assert Cancellation.objects.count() == 1


def test_every_reminder_cancelled_at_once_stays_cancelled(known: Settlement) -> None:
    Job.objects.about(known).cancel_all()
    Job.objects.all().delete()
    reconcile(full=True)
    assert stages_of(known) == set()


def test_a_cancelled_check_whose_job_is_gone_stays_cancelled(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known)
    only(known, STATUS_CHECK).cancel()
    Job.objects.all().delete()
    reconcile(full=True)
    assert waiting_of(known, STATUS_CHECK) == []


def test_the_check_of_another_payment_is_not_cancelled_with_it(
    known: Settlement, make_payment: MakePayment
) -> None:
    first, second = make_payment(known), make_payment(known)
    [check] = [job for job in waiting_of(known, STATUS_CHECK) if job.payload["payment_id"] == str(first.pk)]
    check.cancel()
    Job.objects.all().delete()
    reconcile(full=True)
    assert only(known, STATUS_CHECK).payload["payment_id"] == str(second.pk)


def test_a_new_status_of_the_payment_has_it_checked_again(
    known: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(known)
    only(known, STATUS_CHECK).cancel()
    payment.status = "processing"
    payment.save()
    assert only(known, STATUS_CHECK)


def test_what_the_plan_cancels_is_no_decision(known: Settlement) -> None:
    known.due_date += DAY
    known.save()
    known.cancel()
    known.save()
    assert not Cancellation.objects.exists()


def test_a_reopened_settlement_gets_the_reminders_back_that_the_plan_had_cancelled(
    known: Settlement,
) -> None:
    known.cancel()
    known.save()
    known.reopen()
    known.save()
    assert stages_of(known) == PLAN


def test_a_deleted_settlement_leaves_no_decision(known: Settlement) -> None:
    reminders_of(known)[FINAL].cancel()
    known.delete()
    assert not Cancellation.objects.exists()


def test_a_cancelled_reminder_that_is_retried_goes_out(known: Settlement) -> None:
    job = reminders_of(known)["follow_up", 1]
    job.cancel()
    job.retry()
    run_job(job)
    run_soon()
    assert [message.to for message in mail.outbox] == [["payer@example.com"]]


def test_a_cancellation_that_is_rolled_back_is_no_decision(known: Settlement) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        reminders_of(known)[FINAL].cancel()
        raise ZeroDivisionError
    assert not Cancellation.objects.exists()
    assert stages_of(known) == PLAN


def test_a_moved_due_date_plans_anew_what_was_cancelled(known: Settlement) -> None:
    reminders_of(known)[FINAL].cancel()
    known.due_date += DAY
    known.save()
    assert stages_of(known) == PLAN


def test_a_part_payment_brings_nothing_back(known: Settlement) -> None:
    reminders_of(known)[FINAL].cancel()
    Job.objects.filter(state="cancelled").delete()
    known.mark_partially_paid()
    known.save()
    assert FINAL not in stages_of(known)


def test_a_reminder_cancelled_for_one_settlement_goes_out_for_another(
    known: Settlement, make_settlement: Callable[..., Settlement]
) -> None:
    other = make_settlement(due_date=known.due_date)
    reminders_of(known)[FINAL].cancel()
    Job.objects.filter(state="cancelled").delete()
    reconcile(full=True)
    assert FINAL in stages_of(other)


# The e-mail of a reminder ---------------------------------------------------------------------------


@pytest.fixture
def letter(known: Settlement) -> Job:
    """The e-mail of the final reminder, which waits."""
    with at(known.due_date):
        run_job(reminders_of(known)[FINAL])
    return only(known, EMAIL)


def test_a_reminder_whose_email_was_cancelled_was_not_delivered(letter: Job) -> None:
    letter.cancel()
    assert ReminderDelivery.objects.get(email_job=letter).status == "not_delivered"


def test_a_reminder_whose_email_was_cancelled_is_not_planned_again(known: Settlement, letter: Job) -> None:
    letter.cancel()
    Job.objects.all().delete()
    with at(known.due_date + timedelta(minutes=1)):
        reconcile(full=True)
        drain()
    assert FINAL not in stages_of(known)
    assert mail.outbox == []


def test_a_cancelled_email_that_is_retried_delivers_its_reminder(known: Settlement, letter: Job) -> None:
    letter.cancel()
    letter.retry()
    with at(known.due_date):
        run_job(letter)
    assert ReminderDelivery.objects.get(email_job=letter).status == "delivered"


def test_after_its_email_was_cancelled_a_reminder_by_hand_goes_out(
    known: Settlement, letter: Job, payer: User
) -> None:
    letter.cancel()
    add_settlement_reminder_job(known.pk, payer.pk, known.due_date, "final")
    run_soon()
    assert [message.to for message in mail.outbox] == [["payer@example.com"]]


def test_a_cancelled_email_that_is_retried_after_that_does_not_double_it(
    known: Settlement, letter: Job, payer: User
) -> None:
    letter.cancel()
    add_settlement_reminder_job(known.pk, payer.pk, known.due_date, "final")
    run_soon()
    letter.retry()
    run_job(letter)
    assert letter.reason == "skipped: a later reminder went out, or is on its way"
    assert len(mail.outbox) == 1


def test_the_settlement_is_as_it_was(known: Settlement) -> None:
    before = stored(known).updated_at
    reminders_of(known)[FINAL].cancel()
    assert stored(known).updated_at == before
    assert len(jobs_of(known, REMINDER)) == 6


# Payloads that make no sense --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "values"),
    [
        (REMINDER, {"settlement_id": "none", "user_id": 1, "due_date": "", "reminder_type": "initial"}),
        (EMAIL, {"user_id": 1, "template_type": "reminder_final", "template_data": {}, "reminder": "odd"}),
    ],
)
def test_a_job_that_names_no_settlement_can_be_cancelled_with_others(
    known: Settlement, processor: str, values: dict[str, Any]
) -> None:
    odd = jobs.enqueue(processor, delay=60, unique_key="odd", **values)
    Job.objects.filter(state=Job.State.WAITING).cancel_all()
    odd.refresh_from_db()
    assert odd.state == Job.State.CANCELLED
    assert Cancellation.objects.filter(settlement=known).exists()
