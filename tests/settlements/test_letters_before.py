"""Reminders whose payload is from before payloads said which reminder they are keep their promises too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.testing import at, run_job
from settlements.models import ReminderDelivery, Settlement
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def letter(settlement: Settlement, payer: User) -> Job:
    """The e-mail job of the initial reminder, as it was written then."""
    job = enqueue(
        "email.notification",
        subject=settlement,
        user_id=payer.pk,
        email="then@example.com",
        email_subject="",
        template_type="reminder_initial",
        template_data={"settlement_id": str(settlement.pk)},
    )
    ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="initial",
        due_date=settlement.due_date,
        recipient=payer,
        email_job=job,
        status="on_its_way",
    )
    mail.outbox.clear()
    return job


def test_it_goes_to_the_address_of_now(letter: Job) -> None:
    run_job(letter)
    assert [message.to for message in mail.outbox] == [["payer@example.com"]]
    assert ReminderDelivery.objects.get().status == "delivered"


def test_it_waits_while_it_is_night(letter: Job, settlement: Settlement, settings: Any) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": ("22:00", "07:00")})
    night = settlement.created_at.replace(hour=23, minute=0) + timedelta(days=1)
    with at(night):
        run_job(letter)
    assert (letter.state, letter.reason) == ("waiting", "quiet hours")


def test_it_is_skipped_once_its_due_date_moved(letter: Job, settlement: Settlement) -> None:
    Settlement.objects.update(due_date=settlement.due_date + timedelta(days=1))
    run_job(letter)
    assert "due date moved to" in letter.reason
    assert mail.outbox == []


def test_it_is_skipped_after_a_later_stage(letter: Job, settlement: Settlement, payer: User) -> None:
    ReminderDelivery.objects.create(
        settlement=settlement, reminder_type="final", due_date=settlement.due_date, recipient=payer
    )
    run_job(letter)
    assert letter.reason == "skipped: a later reminder went out, or is on its way"


def test_a_callers_own_of_the_same_shape_goes_where_the_caller_said(letter: Job) -> None:
    ReminderDelivery.objects.all().delete()
    run_job(letter)
    assert [message.to for message in mail.outbox] == [["then@example.com"]]
