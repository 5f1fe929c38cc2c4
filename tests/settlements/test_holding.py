"""Reminders that are held: the plan knows them still, and what is not true any more is not sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, holding
from jobqueue.testing import at, drain
from settlements.models import Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def held(settings: DjangoSettings, settlement: Settlement) -> Job:
    """The next reminder of a settlement, held."""
    settings.SETTLEMENTS = domain_settings()
    run_soon()
    mail.outbox.clear()
    job = min(waiting_of(settlement, REMINDER), key=lambda one: one.run_at)
    holding.hold(job, "pia", "the text is wrong", "default")
    return job


def test_the_reconciler_plans_no_second_one(held: Job, settlement: Settlement) -> None:
    before = Job.objects.about(settlement).count()
    reconcile(full=True)
    assert Job.objects.about(settlement).count() == before
    held.refresh_from_db()
    assert held.held_run_at is not None


def test_it_does_not_go_out_though_its_time_has_come(held: Job) -> None:
    assert held.held_run_at is not None
    with at(held.held_run_at + timedelta(minutes=1)):
        drain()
    assert mail.outbox == []


def test_released_after_the_money_came_it_is_not_sent(held: Job, settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
    assert held.held_run_at is not None
    moment = held.held_run_at
    holding.release(held, "default")
    with at(moment + timedelta(minutes=1)):
        drain()
    held.refresh_from_db()
    assert mail.outbox == [] and held.state in ("completed", "cancelled")


def test_a_new_due_date_drops_the_hold(held: Job, settlement: Settlement) -> None:
    settlement.due_date += timedelta(days=30)
    settlement.save()
    held.refresh_from_db()
    assert held.state == "cancelled"
    assert not holding.held(Job.objects.about(settlement)).exists()
