"""A plan that is set up again: after outages, beside reminders asked for by hand, by its own job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.jobs import add_settlement_processing_job, add_settlement_reminder_job
from settlements.models import Settlement
from settlements.planning import Replanned, plan_reminders
from tests.settlements.planning_steps import DAY, WHOLE_PLAN
from tests.settlements.steps import (
    REMINDER,
    about,
    delivered,
    domain_settings,
    reminders_of,
    stages_of,
    stored,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


# After an outage of the workers ---------------------------------------------------------------------


def test_a_reminder_that_waits_since_an_outage_is_not_cancelled_by_a_part_payment(
    settlement: Settlement,
) -> None:
    with at(settlement.due_date + timedelta(hours=5)):
        settlement.mark_partially_paid()
        settlement.save()
        assert ("final", 0) in stages_of(settlement)


def test_setting_the_plan_up_again_keeps_what_waits_since_an_outage(settlement: Settlement) -> None:
    with at(settlement.due_date + timedelta(hours=5)):
        plan_reminders(settlement, using="default")
        drain()
    assert delivered(settlement) == [("final", 0)]


def test_a_reminder_that_the_policy_no_longer_knows_is_cancelled(
    settlement: Settlement, settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"FOLLOW_UP_AFTER": [3 * DAY]})
    plan_reminders(settlement, using="default")
    assert stages_of(settlement) == WHOLE_PLAN - {("follow_up", 2)}


def test_reminders_that_a_later_beginning_of_the_plan_leaves_no_room_for_are_cancelled(
    make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    settlement = make_settlement(due_date=timezone.now() + 10 * DAY)
    begins_at = settlement.created_at + 5 * DAY
    for module in ("planning", "reminders"):
        monkeypatch.setattr(f"settlements.{module}.plan_begins_at", lambda _settlement: begins_at)
    with at(begins_at):
        plan_reminders(settlement, using="default")
    assert stages_of(settlement) == WHOLE_PLAN - {("follow_up", 2)}


# Repeating ------------------------------------------------------------------------------------------


def test_planning_again_changes_nothing(settlement: Settlement) -> None:
    assert plan_reminders(settlement, using="default") == Replanned(0, 0)


def test_planning_says_what_it_took(settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(due_date=F("due_date") + DAY)
    assert plan_reminders(settlement, using="default") == Replanned(cancelled=6, created=6)


def test_planning_a_deleted_settlement_does_nothing(settlement: Settlement) -> None:
    copy = stored(settlement)
    settlement.delete()
    assert plan_reminders(copy, using="default") == Replanned(0, 0)


def test_a_reminder_that_failed_is_not_planned_again(settlement: Settlement) -> None:
    Job.objects.filter(pk=reminders_of(settlement)["initial", 0].pk).update(state=Job.State.FAILED)
    assert plan_reminders(settlement, using="default").created == 0


# Asked for by hand ----------------------------------------------------------------------------------


@pytest.fixture
def by_hand(settlement: Settlement, payee: User) -> Job:
    """A reminder that somebody asked for, in no plan."""
    return add_settlement_reminder_job(
        settlement.pk, payee.pk, settlement.due_date, "final", step=9, delay=600
    )


def test_a_reminder_asked_for_by_hand_stays_with_its_due_date(settlement: Settlement, by_hand: Job) -> None:
    plan_reminders(settlement, using="default")
    assert by_hand in waiting_of(settlement, REMINDER)


def test_a_reminder_asked_for_by_hand_goes_with_its_due_date(settlement: Settlement, by_hand: Job) -> None:
    settlement.due_date += DAY
    settlement.save()
    assert by_hand not in waiting_of(settlement, REMINDER)


def test_a_reminder_asked_for_by_hand_goes_with_its_settlement(settlement: Settlement, by_hand: Job) -> None:
    settlement.complete()
    settlement.save()
    assert by_hand not in waiting_of(settlement, REMINDER)


# `periodic_reminder` --------------------------------------------------------------------------------


def test_a_periodic_reminder_job_sets_up_a_missing_plan(settlement: Settlement) -> None:
    Job.objects.all().delete()
    run_job(add_settlement_processing_job(settlement.pk, "periodic_reminder"))
    assert stages_of(settlement) == WHOLE_PLAN
    assert about(reminders_of(settlement)["final", 0].run_at, settlement.due_date)


def test_a_periodic_reminder_job_adds_only_what_is_missing(settlement: Settlement) -> None:
    Job.objects.filter(processor=REMINDER).exclude(pk=reminders_of(settlement)["initial", 0].pk).delete()
    run_job(add_settlement_processing_job(settlement.pk, "periodic_reminder"))
    assert stages_of(settlement) == WHOLE_PLAN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "skipped: the reminder plan is complete"),
        ({"status": "completed"}, "skipped: settlement already completed"),
        ({"status": "cancelled"}, "skipped: settlement already cancelled"),
    ],
)
def test_a_periodic_reminder_job_without_work_says_why(
    settlement: Settlement, change: dict[str, str], reason: str
) -> None:
    for name, value in change.items():
        setattr(settlement, name, value)
    settlement.save()
    job = add_settlement_processing_job(settlement.pk, "periodic_reminder")
    run_job(job)
    assert (job.state, job.reason) == (Job.State.COMPLETED, reason)


def test_a_periodic_reminder_job_of_a_deleted_settlement_says_so(settlement: Settlement) -> None:
    job = add_settlement_processing_job(settlement.pk, "periodic_reminder")
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"
