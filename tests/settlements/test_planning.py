"""The plan of reminders follows its settlement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.models import ReminderDelivery, Settlement
from tests.settlements.planning_steps import DAY, WHOLE_PLAN
from tests.settlements.steps import (
    REMINDER,
    delivered,
    domain_settings,
    jobs_of,
    reminders_of,
    stages_of,
    stored,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def send_initial(settlement: Settlement) -> None:
    """Let the initial reminder go out."""
    run_job(reminders_of(settlement)["initial", 0])
    assert delivered(settlement) == [("initial", 0)]


def cancelled_of(settlement: Settlement) -> list[Job]:
    """The cancelled reminders."""
    return [job for job in jobs_of(settlement, REMINDER) if job.state == Job.State.CANCELLED]


# A new settlement -----------------------------------------------------------------------------------


def test_a_new_settlement_has_its_whole_plan(settlement: Settlement) -> None:
    assert stages_of(settlement) == WHOLE_PLAN


def test_each_reminder_is_a_job_due_when_the_plan_says(settlement: Settlement) -> None:
    created, due = settlement.created_at, settlement.due_date
    assert {
        stage: job.run_at for stage, job in reminders_of(settlement).items() if stage != ("initial", 0)
    } == {
        ("follow_up", 1): created + 3 * DAY,
        ("follow_up", 2): created + 7 * DAY,
        ("final", 0): due,
        ("overdue", 1): due + DAY,
        ("overdue", 2): due + 3 * DAY,
    }


def test_the_initial_reminder_is_due_at_once(settlement: Settlement) -> None:
    assert [job.payload["reminder_type"] for job in Job.objects.due().filter(processor=REMINDER)] == [
        "initial"
    ]


def test_a_reminder_job_names_the_payer_and_the_due_date(settlement: Settlement, payer: User) -> None:
    for (reminder_type, step), job in reminders_of(settlement).items():
        assert job.payload == {
            "settlement_id": str(settlement.pk),
            "user_id": payer.pk,
            "due_date": settlement.due_date.isoformat(),
            "reminder_type": reminder_type,
            "step": step,
            "planned": True,
        }


def test_the_plan_follows_the_policy_in_force(
    make_settlement: Callable[..., Settlement], settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"FOLLOW_UP_AFTER": [60], "OVERDUE_AFTER": []})
    settlement = make_settlement()
    reminders = reminders_of(settlement)
    assert set(reminders) == {("initial", 0), ("follow_up", 1), ("final", 0)}
    assert reminders["follow_up", 1].run_at == settlement.created_at + timedelta(seconds=60)


def test_the_plan_keeps_out_of_quiet_hours(
    make_settlement: Callable[..., Settlement], settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(
        reminders={"QUIET_HOURS": ("21:00", "08:00"), "TIME_ZONE": "Europe/Berlin"}
    )
    settlement = make_settlement(due_date=datetime(2040, 1, 10, 22, 30, tzinfo=UTC))
    assert reminders_of(settlement)["final", 0].run_at == datetime(2040, 1, 11, 7, tzinfo=UTC)


def test_a_settlement_that_is_born_completed_has_no_plan(make_settlement: Callable[..., Settlement]) -> None:
    assert stages_of(make_settlement(status="completed")) == set()


@pytest.mark.parametrize("overdue_for", [timedelta(hours=2), 2 * DAY])
def test_a_settlement_created_after_its_due_date_has_one_reminder_due(
    make_settlement: Callable[..., Settlement], overdue_for: timedelta
) -> None:
    settlement = make_settlement(due_date=timezone.now() - overdue_for)
    due = [job for job in waiting_of(settlement, REMINDER) if job in Job.objects.due()]
    assert [job.payload["reminder_type"] for job in due] == ["initial"]


@pytest.mark.parametrize("created_ago", [2 * DAY, 8 * DAY, 400 * DAY])
def test_a_settlement_entered_long_after_it_arose_has_at_most_one_reminder_due(
    make_settlement: Callable[..., Settlement], created_ago: timedelta
) -> None:
    now = timezone.now()
    settlement = make_settlement(created_at=now - created_ago, due_date=now - created_ago + 5 * DAY)
    assert Job.objects.due().filter(processor=REMINDER).about(settlement).count() <= 1


# Changes of the settlement --------------------------------------------------------------------------


def test_a_moved_due_date_moves_what_depends_on_it(settlement: Settlement) -> None:
    send_initial(settlement)
    settlement.due_date += 5 * DAY
    settlement.save()
    reminders = reminders_of(settlement)
    assert set(reminders) == WHOLE_PLAN - {("initial", 0)}
    assert reminders["final", 0].run_at == settlement.due_date
    assert reminders["overdue", 1].run_at == settlement.due_date + DAY
    assert {job.payload["due_date"] for job in reminders.values()} == {settlement.due_date.isoformat()}


def test_the_reminders_for_the_old_due_date_are_cancelled_with_a_reason(settlement: Settlement) -> None:
    settlement.due_date += 5 * DAY
    settlement.save()
    assert {job.reason for job in cancelled_of(settlement)} == {"re-planned: the settlement changed"}
    assert len(cancelled_of(settlement)) == len(WHOLE_PLAN)


def test_moving_the_due_date_and_its_new_plan_are_one_transaction(settlement: Settlement) -> None:
    before = {job.pk for job in waiting_of(settlement, REMINDER)}
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement.due_date += 5 * DAY
        settlement.save()
        raise ZeroDivisionError
    assert {job.pk for job in waiting_of(settlement, REMINDER)} == before
    assert len(jobs_of(settlement, REMINDER)) == len(before)


def test_a_due_date_moved_there_and_back_has_each_reminder_once(settlement: Settlement) -> None:
    send_initial(settlement)
    original = settlement.due_date
    for due_date in (original + DAY, original, original + DAY, original):
        settlement.due_date = due_date
        settlement.save()
    assert stages_of(settlement) == WHOLE_PLAN - {("initial", 0)}


def test_an_unsent_initial_reminder_survives_a_moved_due_date(settlement: Settlement) -> None:
    settlement.due_date += DAY
    settlement.save()
    assert ("initial", 0) in stages_of(settlement)


def test_a_due_date_moved_by_an_expression_is_planned_by_what_was_stored(settlement: Settlement) -> None:
    moved = settlement.due_date + 5 * DAY
    settlement.due_date = F("due_date") + 5 * DAY
    settlement.save()
    assert stored(settlement).due_date == moved
    assert reminders_of(settlement)["final", 0].run_at == moved


def test_a_due_date_given_as_text_is_planned_by_what_was_stored(
    make_settlement: Callable[..., Settlement],
) -> None:
    settlement = make_settlement(due_date="2040-05-06T07:08:09+00:00")
    assert reminders_of(settlement)["final", 0].run_at == datetime(2040, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_stale_instance_that_saves_its_status_keeps_the_plan_of_the_stored_due_date(
    settlement: Settlement,
) -> None:
    stale = stored(settlement)
    settlement.due_date += 5 * DAY
    settlement.save()
    stale.payer, stale.status = stale.payee, "partially_paid"
    stale.save(update_fields=["status", "payer"])
    assert reminders_of(settlement)["final", 0].run_at == settlement.due_date


def test_a_follow_up_that_went_out_is_not_repeated_when_the_due_date_moves(
    settlement: Settlement,
) -> None:
    with at(settlement.created_at + 3 * DAY + timedelta(minutes=10)):
        drain()
        assert delivered(settlement)[-1] == ("follow_up", 1)
        settlement.due_date += 5 * DAY
        settlement.save()
        assert stages_of(settlement) == {("follow_up", 2), ("final", 0), ("overdue", 1), ("overdue", 2)}


def test_a_final_reminder_goes_out_again_for_a_new_due_date(settlement: Settlement) -> None:
    with at(settlement.due_date + timedelta(minutes=10)):
        drain()
        assert delivered(settlement)[-1] == ("final", 0)
        settlement.due_date += 5 * DAY
        settlement.save()
        assert stages_of(settlement) == {("final", 0), ("overdue", 1), ("overdue", 2)}


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_settlement_that_is_closed_has_no_reminder_waiting(settlement: Settlement, status: str) -> None:
    settlement.status = status
    settlement.save()
    assert stages_of(settlement) == set()
    assert {job.reason for job in cancelled_of(settlement)} == {f"re-planned: the settlement is {status}"}


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_closing_and_cancelling_the_reminders_are_one_transaction(
    settlement: Settlement, status: str
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement.status = status
        settlement.save()
        assert stages_of(settlement) == set()
        raise ZeroDivisionError
    assert stored(settlement).status == "pending"
    assert stages_of(settlement) == WHOLE_PLAN


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_reopening_rebuilds_the_plan(settlement: Settlement, status: str) -> None:
    for value in (status, "pending"):
        settlement.status = value
        settlement.save()
    assert stages_of(settlement) == WHOLE_PLAN


def test_reopening_does_not_repeat_the_initial_reminder(settlement: Settlement) -> None:
    send_initial(settlement)
    for value in ("completed", "pending"):
        settlement.status = value
        settlement.save()
    assert stages_of(settlement) == WHOLE_PLAN - {("initial", 0)}


def test_reopening_long_after_makes_at_most_one_reminder_due(settlement: Settlement) -> None:
    settlement.status = "completed"
    settlement.save()
    moment = settlement.due_date + DAY + timedelta(minutes=1)
    with at(moment):
        settlement.status = "pending"
        settlement.save()
        due = [stage for stage, job in reminders_of(settlement).items() if job.run_at <= moment]
        assert due == [("overdue", 1)]


def test_a_part_payment_leaves_the_plan_as_it_is(settlement: Settlement) -> None:
    before = {job.pk for job in waiting_of(settlement, REMINDER)}
    settlement.mark_partially_paid()
    settlement.save()
    assert {job.pk for job in waiting_of(settlement, REMINDER)} == before


def test_a_part_payment_does_not_bring_back_what_an_operator_cancelled(settlement: Settlement) -> None:
    reminders_of(settlement)["final", 0].cancel("asked for by the payee")
    settlement.mark_partially_paid()
    settlement.save()
    assert ("final", 0) not in stages_of(settlement)


def test_a_new_payer_gets_the_reminders(settlement: Settlement, payee: User) -> None:
    other = User.objects.create_user("other", "other@example.com")
    settlement.payer = other
    settlement.save()
    assert stages_of(settlement) == WHOLE_PLAN
    assert {job.payload["user_id"] for job in waiting_of(settlement, REMINDER)} == {other.pk}


def test_the_old_payer_gets_none_of_them(settlement: Settlement, payer: User) -> None:
    settlement.payer = User.objects.create_user("other", "other@example.com")
    settlement.save()
    with at(settlement.due_date + 30 * DAY):
        drain()
    assert not ReminderDelivery.objects.filter(recipient=payer).exists()


def test_another_description_or_amount_leaves_the_plan_as_it_is(settlement: Settlement) -> None:
    before = {job.pk for job in waiting_of(settlement, REMINDER)}
    settlement.description, settlement.amount = "Lunch", Money(7, "EUR")
    settlement.save()
    assert {job.pk for job in waiting_of(settlement, REMINDER)} == before
