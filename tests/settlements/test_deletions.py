"""What operators delete stays away as what they cancel does; what is pruned was decided by nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.models import Cancellation, EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.jobqueue.admin.steps import JOBS, confirm
from tests.jobqueue.admin.test_calendar import walked
from tests.jobqueue.api.steps import ask, deleter, post
from tests.settlements.steps import (
    EMAIL,
    STATUS_CHECK,
    domain_settings,
    only,
    reminders_of,
    run_soon,
    stages_of,
    waiting_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])
PLAN = {("follow_up", 1), ("follow_up", 2), ("final", 0), ("overdue", 1), ("overdue", 2)}
FINAL = ("final", 0)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"LAPSED_AFTER": timedelta(days=100)})


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement whose payer had the initial reminder; the rest of the plan waits."""
    run_soon()
    mail.outbox.clear()
    return settlement


def delete_in_the_admin(job: Job) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("pia"))
    confirm(client, "delete", job, url=JOBS)


def delete_on_djangos_page(job: Job) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("pia"))
    assert client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 302


def discard_over_http(job: Job) -> None:
    assert ask(deleter(), "POST", f"jobs/{job.pk}/discard/", {}).status_code == 204


def discard_in_bulk(job: Job) -> None:
    post(deleter(), "bulk/", {"verb": "discard", "search": str(job.pk), "reason": "enough"})
    assert walked() == 1


WAYS = [delete_in_the_admin, delete_on_djangos_page, discard_over_http, discard_in_bulk]


@pytest.mark.parametrize("delete", WAYS)
def test_a_deleted_reminder_stays_away(known: Settlement, delete: Callable[[Job], None]) -> None:
    job = reminders_of(known)[FINAL]
    delete(job)
    assert not Job.objects.filter(pk=job.pk).exists()
    reconcile(full=True)
    known.mark_partially_paid()
    known.save()
    assert stages_of(known) == PLAN - {FINAL}


def test_a_reminder_that_failed_and_was_deleted_stays_away(known: Settlement) -> None:
    failed = Job.objects.filter(pk=reminders_of(known)[FINAL].pk)
    failed.update(state=Job.State.FAILED)
    failed.delete_all()
    reconcile(full=True)
    assert stages_of(known) == PLAN - {FINAL}


def test_a_deleted_check_of_a_payment_stays_away(
    known: Settlement, make_payment: Callable[..., Payment]
) -> None:
    make_payment(known)
    Job.objects.filter(pk=only(known, STATUS_CHECK).pk).delete_all()
    reconcile(full=True)
    assert waiting_of(known, STATUS_CHECK) == []


def test_who_tidies_a_failed_check_away_does_not_end_the_checks(
    known: Settlement, make_payment: Callable[..., Payment]
) -> None:
    make_payment(known)
    failed = Job.objects.filter(pk=only(known, STATUS_CHECK).pk)
    failed.update(state=Job.State.FAILED)
    failed.delete_all()
    reconcile(full=True)
    assert only(known, STATUS_CHECK)


def test_a_reminder_whose_email_was_deleted_is_not_planned_again(known: Settlement) -> None:
    with at(known.due_date):
        run_job(reminders_of(known)[FINAL])
    letter = only(known, EMAIL)
    EmailDelivery.objects.create(job=letter, status="deferred", message_id="<1@example.com>")
    Job.objects.filter(pk=letter.pk).delete_all("deleted by pia: enough")
    assert ReminderDelivery.objects.get(reminder_type="final").status == "not_delivered"
    skipped = EmailDelivery.objects.get(message_id="<1@example.com>")
    assert (skipped.status, skipped.error) == ("skipped", "deleted by pia: enough")
    Job.objects.all().delete()
    with at(known.due_date + timedelta(minutes=1)):
        reconcile(full=True)
        drain()
    assert FINAL not in stages_of(known)
    assert mail.outbox == []


def test_what_is_pruned_was_decided_by_nobody(known: Settlement) -> None:
    Job.objects.filter(pk=reminders_of(known)[FINAL].pk).update(
        state=Job.State.FAILED, finished_at=known.created_at - timedelta(days=400)
    )
    call_command("jobqueue_prune")
    assert not Cancellation.objects.exists()
    reconcile(full=True)
    assert stages_of(known) == PLAN


def test_what_is_over_is_deleted_without_a_decision(known: Settlement) -> None:
    known.due_date += timedelta(days=1)
    known.save()
    assert Job.objects.filter(state__in=["completed", "cancelled"]).delete_all() > 0
    assert not Cancellation.objects.exists()
    assert stages_of(known) == PLAN
