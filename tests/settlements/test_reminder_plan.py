"""The reminder plan: which reminders there are, and how far apart."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from pytest_django import Settings as DjangoSettings

from settlements.conf import ReminderPolicy
from settlements.exceptions import InvalidDueDate
from settlements.models import ReminderType
from settlements.reminders import (
    PlannedReminder,
    calendar,
    current_policy,
    plan,
    plan_begins_at,
    plan_for,
    step_key,
)
from tests.settlements.reminder_steps import (
    BERLIN,
    DAY,
    HOUR,
    NEW_YORK,
    NO_GAP,
    NOON,
    of_days,
    policy_by_day,
    policy_with,
    settlement_with,
    settlement_with_payer_since,
    shown_plan,
)

# Which reminders there are ------------------------------------------------------------------------


def test_a_new_settlement_gets_all_stages_in_order() -> None:
    assert shown_plan(plan(NOON, NOON + 10 * DAY, NOON, policy_with())) == [
        ("initial", 0, 0 * DAY),
        ("follow_up", 1, 3 * DAY),
        ("follow_up", 2, 7 * DAY),
        ("final", 0, 10 * DAY),
        ("overdue", 1, 11 * DAY),
        ("overdue", 2, 13 * DAY),
        ("overdue", 3, 17 * DAY),
        ("overdue", 4, 24 * DAY),
        ("overdue", 5, 40 * DAY),
    ]


def test_follow_ups_end_before_the_due_date() -> None:
    planned = plan(NOON, NOON + 7 * DAY, NOON, policy_with())
    assert [each.step for each in planned if each.reminder_type == "follow_up"] == [1]


def test_stages_without_steps_leave_initial_and_final() -> None:
    policy = policy_with(follow_up_after=(), overdue_after=())
    assert shown_plan(plan(NOON, NOON + 10 * DAY, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("final", 0, 10 * DAY),
    ]


def test_a_settlement_created_after_its_due_date_starts_with_initial_and_goes_on_overdue() -> None:
    assert shown_plan(plan(NOON, NOON - 5 * DAY, NOON, policy_with())) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 3, 2 * DAY),
        ("overdue", 4, 9 * DAY),
        ("overdue", 5, 25 * DAY),
    ]


def test_a_settlement_created_minutes_after_its_due_date_gets_no_final_one_with_the_initial() -> None:
    policy = policy_with(minimum_gap=NO_GAP, overdue_after=(timedelta(minutes=5), DAY))
    assert shown_plan(plan(NOON, NOON - timedelta(minutes=10), NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 2, DAY - timedelta(minutes=10)),
    ]


def test_a_settlement_due_at_once_has_one_reminder_for_both() -> None:
    assert shown_plan(plan(NOON, NOON, NOON, policy_with(overdue_after=()))) == [("initial", 0, 0 * DAY)]


def test_a_policy_of_seconds_plans_seconds() -> None:
    seconds = [timedelta(seconds=number) for number in range(12)]
    policy = policy_with(
        follow_up_after=(seconds[2], seconds[4]), overdue_after=(seconds[1], seconds[3]), minimum_gap=NO_GAP
    )
    assert shown_plan(plan(NOON, NOON + seconds[6], NOON, policy)) == [
        ("initial", 0, seconds[0]),
        ("follow_up", 1, seconds[2]),
        ("follow_up", 2, seconds[4]),
        ("final", 0, seconds[6]),
        ("overdue", 1, seconds[7]),
        ("overdue", 2, seconds[9]),
    ]


def test_moments_are_planned_in_utc_whatever_zone_the_dates_are_in() -> None:
    there = NOON.astimezone(NEW_YORK), (NOON + 10 * DAY).astimezone(BERLIN), NOON.astimezone(BERLIN)
    planned = plan(*there, policy_with())
    assert planned == plan(NOON, NOON + 10 * DAY, NOON, policy_with())
    assert {each.run_at.tzinfo for each in planned} == {UTC}


@pytest.mark.parametrize("year", [1, 9999])
def test_a_date_at_the_end_of_all_calendars_is_planned_as_far_as_it_goes(year: int) -> None:
    due = datetime(year, 12, 31, 23, 59, tzinfo=UTC) if year > 1 else datetime(1, 1, 1, tzinfo=UTC)
    planned = plan(NOON, due, NOON, policy_by_day(time_zone=NEW_YORK))
    assert shown_plan(planned)[0] == ("initial", 0, timedelta(hours=0))


# Distance -----------------------------------------------------------------------------------------


def test_a_follow_up_close_to_the_initial_reminder_is_left_out() -> None:
    policy = policy_with(follow_up_after=(5 * HOUR, 12 * HOUR), overdue_after=())
    assert shown_plan(plan(NOON, NOON + 10 * DAY, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("follow_up", 2, 12 * HOUR),
        ("final", 0, 10 * DAY),
    ]


def test_the_initial_reminder_stays_even_beside_the_final_one() -> None:
    policy = policy_with(overdue_after=of_days(1))
    assert shown_plan(plan(NOON, NOON + 2 * HOUR, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 1, DAY + 2 * HOUR),
    ]


def test_the_final_reminder_wins_over_a_follow_up() -> None:
    policy = policy_with(follow_up_after=of_days(3, 6.8), overdue_after=())
    assert [kind for kind, _, _ in shown_plan(plan(NOON, NOON + 7 * DAY, NOON, policy))] == [
        "initial",
        "follow_up",
        "final",
    ]


def test_an_overdue_reminder_wins_over_the_final_one() -> None:
    policy = policy_with(follow_up_after=(), overdue_after=(6 * HOUR,))
    assert [kind for kind, _, _ in shown_plan(plan(NOON, NOON + 7 * DAY, NOON, policy))] == [
        "initial",
        "overdue",
    ]


def test_of_one_stage_the_higher_step_wins() -> None:
    policy = policy_with(follow_up_after=of_days(3, 3.2), overdue_after=())
    assert ("follow_up", 2, 3.2 * DAY) in shown_plan(plan(NOON, NOON + 7 * DAY, NOON, policy))
    assert ("follow_up", 1, 3 * DAY) not in shown_plan(plan(NOON, NOON + 7 * DAY, NOON, policy))


def test_one_that_is_left_out_pushes_nothing_out_itself() -> None:
    policy = policy_with(follow_up_after=of_days(3, 3.4, 3.8), overdue_after=())
    steps = [
        each.step for each in calendar(NOON, NOON + 7 * DAY, policy) if each.reminder_type == "follow_up"
    ]
    assert steps == [1, 3]


def test_exactly_the_minimum_gap_is_far_enough() -> None:
    policy = policy_with(follow_up_after=(12 * HOUR,), overdue_after=(12 * HOUR,))
    assert len(plan(NOON, NOON + DAY, NOON, policy)) == 4


def test_a_gap_of_a_day_is_a_day_of_the_calendar() -> None:
    # On March 29 that is 23 hours, on October 25 it is 25.
    policy = policy_with(time_zone=BERLIN, minimum_gap=DAY, overdue_after=of_days(1), follow_up_after=())
    due = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    assert [each.reminder_type for each in calendar(due - 2 * DAY, due, policy)] == [
        "initial",
        "final",
        "overdue",
    ]
    policy = replace(policy, overdue_after=(24.5 * HOUR,))
    due = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    assert [each.reminder_type for each in calendar(due - 2 * DAY, due, policy)] == ["initial", "overdue"]


def test_two_that_quiet_hours_move_to_one_moment_become_one_even_without_a_gap() -> None:
    created = datetime(2026, 6, 1, 12, tzinfo=BERLIN)
    policy = policy_by_day(
        follow_up_after=(10 * HOUR, 12 * HOUR), overdue_after=(), minimum_gap=NO_GAP, time_zone=BERLIN
    )
    planned = plan(created, created + 5 * DAY, created, policy)
    assert [(each.reminder_type.value, each.step) for each in planned] == [
        ("initial", 0),
        ("follow_up", 2),
        ("final", 0),
    ]


# A settlement, its keys, the policy in force ------------------------------------------------------


def test_the_plan_of_a_settlement_is_that_of_its_dates() -> None:
    assert plan_for(settlement_with(), NOON, policy_with()) == plan(
        NOON, NOON + 10 * DAY, NOON, policy_with()
    )


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_settlement_that_owes_nothing_has_no_plan(status: str) -> None:
    assert plan_for(settlement_with(status=status), NOON, policy_with()) == []


def test_a_settlement_paid_in_part_has_a_plan() -> None:
    assert plan_for(settlement_with(status="partially_paid"), NOON, policy_with())


def test_a_plan_begins_at_the_creation() -> None:
    assert plan_begins_at(settlement_with()) == NOON
    assert plan_begins_at(settlement_with_payer_since(None)) == NOON


def test_a_plan_begins_anew_with_a_new_payer() -> None:
    assert plan_begins_at(settlement_with_payer_since(NOON + 2 * DAY)) == NOON + 2 * DAY


def test_a_new_payer_gets_an_initial_reminder_and_follow_ups_counted_from_it() -> None:
    came_in = NOON + 2 * DAY
    assert shown_plan(
        plan_for(settlement_with_payer_since(came_in), came_in, policy_with(overdue_after=of_days(1)))
    ) == [
        ("initial", 0, 2 * DAY),
        ("follow_up", 1, 5 * DAY),
        ("follow_up", 2, 9 * DAY),
        ("final", 0, 10 * DAY),
        ("overdue", 1, 11 * DAY),
    ]


def test_a_payer_who_came_in_after_the_due_date_gets_what_a_settlement_created_then_gets() -> None:
    came_in = NOON + 12 * DAY
    planned = plan_for(
        settlement_with_payer_since(came_in), came_in, policy_with(overdue_after=of_days(1, 3))
    )
    assert shown_plan(planned) == [("initial", 0, 12 * DAY), ("overdue", 2, 13 * DAY)]


def test_a_plan_that_begins_ahead_of_now_begins_now() -> None:
    ahead = settlement_with_payer_since(NOON + DAY)
    assert plan_for(ahead, NOON, policy_with()) == plan(NOON, NOON + 10 * DAY, NOON, policy_with())


def test_the_policy_in_force_comes_from_the_settings(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {
        "REMINDERS": {"OVERDUE_AFTER": [5], "QUIET_HOURS": None, "TIME_ZONE": "Europe/Berlin"}
    }
    assert current_policy() == ReminderPolicy(
        overdue_after=(timedelta(seconds=5),), quiet_hours=None, time_zone=BERLIN
    )


def test_the_key_of_a_step_names_settlement_stage_step_and_due_date() -> None:
    settlement_id = uuid.UUID("7d1f2f0e-6f5c-4b39-9df6-0a4f5b2c9e11")
    planned = PlannedReminder(ReminderType.FOLLOW_UP, 2, NOON)
    due = datetime(2026, 6, 11, 14, tzinfo=BERLIN)
    assert step_key(settlement_id, planned, due) == (
        "reminder:7d1f2f0e-6f5c-4b39-9df6-0a4f5b2c9e11:follow_up:2:2026-06-11T12:00:00+00:00"
    )


def test_the_key_of_a_step_is_the_same_in_every_zone() -> None:
    planned = PlannedReminder(ReminderType.FINAL, 0, NOON)
    assert step_key("id", planned, NOON.astimezone(BERLIN)) == step_key("id", planned, NOON)


def test_the_longest_key_fits_its_column() -> None:
    planned = PlannedReminder(ReminderType.FOLLOW_UP, 2**31 - 1, NOON)
    assert len(step_key(uuid.uuid4(), planned, datetime.max.replace(tzinfo=UTC))) <= 200


@pytest.mark.parametrize("wrong", [datetime(2026, 6, 1), date(2026, 6, 1), "2026-06-01T12:00Z", None])
@pytest.mark.parametrize("name", ["begins_at", "due_date", "now"])
def test_a_moment_that_is_not_aware_is_refused_by_name(wrong: Any, name: str) -> None:
    moments = {"begins_at": NOON, "due_date": NOON, "now": NOON} | {name: wrong}
    with pytest.raises(InvalidDueDate, match=f"^{name} must be a date and time with a time zone"):
        plan(**moments, policy=policy_with())


def test_a_moment_before_all_calendars_is_refused() -> None:
    first_day_in_the_east = datetime(1, 1, 1, tzinfo=timezone(14 * HOUR))
    with pytest.raises(InvalidDueDate, match="out of the calendar's range"):
        plan(NOON, first_day_in_the_east, NOON, policy_with())
