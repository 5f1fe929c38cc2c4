"""The reminder plan: examples of every rule, and properties that hold for all dates and policies."""

from __future__ import annotations

import timeit
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings as DjangoSettings

from settlements.conf import ReminderPolicy
from settlements.exceptions import InvalidDueDate
from settlements.models import ReminderType, Settlement
from settlements.reminders import (
    PlannedReminder,
    calendar,
    current_policy,
    day_of,
    out_of_quiet_hours,
    plan,
    plan_begins_at,
    plan_for,
    step_key,
    superseded,
    superseded_for,
)

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
CAIRO = ZoneInfo("Africa/Cairo")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
NUUK = ZoneInfo("America/Nuuk")
APIA = ZoneInfo("Pacific/Apia")
PAGO_PAGO = ZoneInfo("Pacific/Pago_Pago")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NO_GAP = timedelta(0)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When the settlements of the examples are created, far from quiet hours and clock changes."""
URGENCY = {kind: rank for rank, kind in enumerate(ReminderType)}
Entry = tuple[str, int, timedelta]


def _days(*numbers: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(days=number) for number in numbers)


def _policy(**changes: Any) -> ReminderPolicy:
    """A policy with half a day between reminders, by day and night unless told otherwise."""
    return replace(ReminderPolicy(minimum_gap=12 * HOUR), **changes)


def _by_day(**changes: Any) -> ReminderPolicy:
    """A policy whose nights are quiet."""
    return _policy(**{"quiet_hours": (time(21), time(8)), **changes})


def _shown(reminders: list[PlannedReminder], since: datetime = NOON) -> list[Entry]:
    return [(each.reminder_type.value, each.step, each.run_at - since) for each in reminders]


# Which reminders there are --------------------------------------------------------------------------


def test_a_new_settlement_gets_all_stages_in_order() -> None:
    assert _shown(plan(NOON, NOON + 10 * DAY, NOON, _policy())) == [
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
    planned = plan(NOON, NOON + 7 * DAY, NOON, _policy())
    assert [each.step for each in planned if each.reminder_type == "follow_up"] == [1]


def test_stages_without_steps_leave_initial_and_final() -> None:
    policy = _policy(follow_up_after=(), overdue_after=())
    assert _shown(plan(NOON, NOON + 10 * DAY, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("final", 0, 10 * DAY),
    ]


def test_a_settlement_created_after_its_due_date_starts_with_initial_and_goes_on_overdue() -> None:
    assert _shown(plan(NOON, NOON - 5 * DAY, NOON, _policy())) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 3, 2 * DAY),
        ("overdue", 4, 9 * DAY),
        ("overdue", 5, 25 * DAY),
    ]


def test_a_settlement_created_minutes_after_its_due_date_gets_no_final_one_with_the_initial() -> None:
    policy = _policy(minimum_gap=NO_GAP, overdue_after=(timedelta(minutes=5), DAY))
    assert _shown(plan(NOON, NOON - timedelta(minutes=10), NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 2, DAY - timedelta(minutes=10)),
    ]


def test_a_settlement_due_at_once_has_one_reminder_for_both() -> None:
    assert _shown(plan(NOON, NOON, NOON, _policy(overdue_after=()))) == [("initial", 0, 0 * DAY)]


def test_a_policy_of_seconds_plans_seconds() -> None:
    seconds = [timedelta(seconds=number) for number in range(12)]
    policy = _policy(
        follow_up_after=(seconds[2], seconds[4]), overdue_after=(seconds[1], seconds[3]), minimum_gap=NO_GAP
    )
    assert _shown(plan(NOON, NOON + seconds[6], NOON, policy)) == [
        ("initial", 0, seconds[0]),
        ("follow_up", 1, seconds[2]),
        ("follow_up", 2, seconds[4]),
        ("final", 0, seconds[6]),
        ("overdue", 1, seconds[7]),
        ("overdue", 2, seconds[9]),
    ]


def test_moments_are_planned_in_utc_whatever_zone_the_dates_are_in() -> None:
    there = NOON.astimezone(NEW_YORK), (NOON + 10 * DAY).astimezone(BERLIN), NOON.astimezone(BERLIN)
    planned = plan(*there, _policy())
    assert planned == plan(NOON, NOON + 10 * DAY, NOON, _policy())
    assert {each.run_at.tzinfo for each in planned} == {UTC}


@pytest.mark.parametrize("year", [1, 9999])
def test_a_date_at_the_end_of_all_calendars_is_planned_as_far_as_it_goes(year: int) -> None:
    due = datetime(year, 12, 31, 23, 59, tzinfo=UTC) if year > 1 else datetime(1, 1, 1, tzinfo=UTC)
    planned = plan(NOON, due, NOON, _by_day(time_zone=NEW_YORK))
    assert _shown(planned)[0] == ("initial", 0, timedelta(hours=0))


# Days -----------------------------------------------------------------------------------------------


def _overdue_after(due: datetime, *intervals: timedelta, zone: ZoneInfo) -> list[tuple[int, datetime]]:
    """Steps and moments of the overdue reminders of a settlement due at the moment."""
    policy = _policy(follow_up_after=(), overdue_after=intervals, minimum_gap=NO_GAP, time_zone=zone)
    planned = calendar(due - 2 * DAY, due, policy)
    return [(each.step, each.run_at) for each in planned if each.reminder_type == "overdue"]


def _one_day_after(local: datetime, zone: ZoneInfo) -> datetime:
    """When the overdue reminder of one day leaves."""
    (only,) = _overdue_after(local.replace(tzinfo=zone), DAY, zone=zone)
    return only[1]


@pytest.mark.parametrize(
    ("zone", "due", "leaves_at"),
    [
        # The due day has 25 hours: after 24 of them it would still be the due day, 23:30.
        (BERLIN, datetime(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 23, 30, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 11, 1, 0, 30), datetime(2026, 11, 2, 5, 30, tzinfo=UTC)),
        # 23 hours: after 24 of them it would be 13:00.
        (BERLIN, datetime(2026, 3, 28, 12), datetime(2026, 3, 29, 10, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 3, 7, 12), datetime(2026, 3, 8, 16, tzinfo=UTC)),
        # 24 and a half: it would be the due day, 23:45.
        (LORD_HOWE, datetime(2026, 4, 5, 0, 15), datetime(2026, 4, 5, 13, 45, tzinfo=UTC)),
        # 25, the last of them a second time: it would be the due day, 23:00.
        (CAIRO, datetime(2026, 10, 29), datetime(2026, 10, 29, 22, tzinfo=UTC)),
        (SAO_PAULO, datetime(2019, 2, 16, 0, 30), datetime(2019, 2, 17, 3, 30, tzinfo=UTC)),
    ],
)
def test_a_day_later_is_the_same_wall_clock_time_through_a_clock_change(
    zone: ZoneInfo, due: datetime, leaves_at: datetime
) -> None:
    assert _one_day_after(due, zone) == leaves_at
    assert leaves_at.astimezone(zone).replace(tzinfo=None) == due + DAY


@pytest.mark.parametrize(
    ("zone", "due", "leaves_at"),
    [
        # UTC+13: in UTC it is the day before, 11:30.
        (APIA, datetime(2026, 6, 2, 0, 30), datetime(2026, 6, 2, 11, 30, tzinfo=UTC)),
        # UTC-11: in UTC it is the day after, 10:30.
        (PAGO_PAGO, datetime(2026, 6, 1, 23, 30), datetime(2026, 6, 3, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_day_later_is_the_same_wall_clock_time_far_from_greenwich(
    zone: ZoneInfo, due: datetime, leaves_at: datetime
) -> None:
    assert _one_day_after(due, zone) == leaves_at
    assert leaves_at.astimezone(zone).replace(tzinfo=None) == due + DAY


@pytest.mark.parametrize(
    ("zone", "due", "shown"),
    [
        (BERLIN, datetime(2026, 3, 28, 2, 30), datetime(2026, 3, 29, 3, 30)),
        (NEW_YORK, datetime(2026, 3, 7, 2), datetime(2026, 3, 8, 3)),
        (LORD_HOWE, datetime(2026, 10, 3, 2, 15), datetime(2026, 10, 4, 2, 45)),
        (CAIRO, datetime(2026, 4, 23), datetime(2026, 4, 24, 1)),
        (SAO_PAULO, datetime(2018, 11, 3, 0, 30), datetime(2018, 11, 4, 1, 30)),
    ],
)
def test_a_time_that_the_clocks_skip_comes_later_that_day(
    zone: ZoneInfo, due: datetime, shown: datetime
) -> None:
    assert _one_day_after(due, zone) == shown.replace(tzinfo=zone).astimezone(UTC)


def test_a_time_in_the_skipped_end_of_a_day_comes_earlier_that_day() -> None:
    # In Nuuk the clocks went from 23:00 of March 30 to midnight.
    leaves_at = _one_day_after(datetime(2024, 3, 29, 23, 30), NUUK)
    assert leaves_at == datetime(2024, 3, 30, 22, 30, tzinfo=NUUK).astimezone(UTC)


def test_the_next_day_takes_the_place_of_one_that_the_calendar_skips() -> None:
    # Samoa crossed the date line: after December 29 came the 31st, and two steps became one.
    due = datetime(2011, 12, 29, 12, tzinfo=APIA)
    assert _overdue_after(due, *_days(1, 2, 3), zone=APIA) == [
        (2, datetime(2011, 12, 30, 22, tzinfo=UTC)),
        (3, datetime(2011, 12, 31, 22, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("zone", "due", "leaves_at"),
    [
        (BERLIN, datetime(2026, 10, 24, 2, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 10, 31, 1, 30), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        (LORD_HOWE, datetime(2026, 4, 4, 1, 45), datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),
        (CAIRO, datetime(2026, 10, 28, 23, 30), datetime(2026, 10, 29, 20, 30, tzinfo=UTC)),
    ],
)
def test_a_time_that_comes_twice_counts_the_first_time(
    zone: ZoneInfo, due: datetime, leaves_at: datetime
) -> None:
    assert _one_day_after(due, zone) == leaves_at


def test_a_day_after_the_second_of_two_equal_times_is_a_day_later_all_the_same() -> None:
    due = datetime(2026, 10, 25, 2, 30, fold=1)
    assert _one_day_after(due, BERLIN) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_follow_ups_are_days_of_the_policys_zone_as_well() -> None:
    created = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    planned = calendar(created, created + 10 * DAY, _policy(time_zone=BERLIN, follow_up_after=_days(1, 3)))
    assert [each.run_at for each in planned if each.reminder_type == "follow_up"] == [
        datetime(2026, 10, 25, 23, 30, tzinfo=UTC),
        datetime(2026, 10, 27, 23, 30, tzinfo=UTC),
    ]


def test_a_follow_up_that_the_calendar_puts_on_the_due_date_is_left_out() -> None:
    created = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    due = datetime(2026, 10, 26, 0, 30, tzinfo=BERLIN)
    planned = calendar(created, due, _policy(time_zone=BERLIN, follow_up_after=_days(1)))
    assert "follow_up" not in {each.reminder_type.value for each in planned}


@pytest.mark.parametrize("interval", [HOUR, 36 * HOUR, DAY + timedelta(seconds=1), 2 * DAY - HOUR])
@pytest.mark.parametrize(
    "due", [datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 10, 24, 12, tzinfo=BERLIN)]
)
def test_an_interval_that_is_no_whole_days_is_elapsed_time(due: datetime, interval: timedelta) -> None:
    assert _overdue_after(due, interval, zone=BERLIN) == [(1, due.astimezone(UTC) + interval)]


@pytest.mark.parametrize(
    ("due", "intervals"),
    [
        # A day of 25 hours passes the step after it, and so does one of 23 the step before it.
        (datetime(2026, 10, 25, 0, 30), (DAY, DAY + HOUR / 2)),
        (datetime(2026, 3, 28, 12), (DAY - HOUR / 2, DAY)),
    ],
)
def test_of_two_steps_that_a_clock_change_turns_round_the_higher_stays(
    due: datetime, intervals: tuple[timedelta, timedelta]
) -> None:
    both = [_overdue_after(due.replace(tzinfo=BERLIN), each, zone=BERLIN)[0][1] for each in intervals]
    assert both[0] > both[1]
    turned = _overdue_after(due.replace(tzinfo=BERLIN), *intervals, 5 * DAY, zone=BERLIN)
    assert [step for step, _ in turned] == [2, 3]
    assert turned[0][1] == both[1]


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (datetime(2026, 6, 1, 11, 30, tzinfo=UTC), APIA, date(2026, 6, 2)),
        (datetime(2026, 6, 1, 10, 30, tzinfo=UTC), APIA, date(2026, 6, 1)),
        (datetime(2026, 6, 1, 10, 30, tzinfo=UTC), PAGO_PAGO, date(2026, 5, 31)),
        (datetime(2026, 6, 1, 11, 30, tzinfo=UTC), PAGO_PAGO, date(2026, 6, 1)),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), BERLIN, date(2026, 10, 25)),  # 25 hours long
        (datetime(2026, 10, 25, 23, tzinfo=UTC), BERLIN, date(2026, 10, 26)),
        (datetime(2026, 6, 1, 23, tzinfo=NEW_YORK), BERLIN, date(2026, 6, 2)),
        (datetime.max.replace(tzinfo=UTC), BERLIN, date.max),
        (datetime.min.replace(tzinfo=UTC), NEW_YORK, date.min),
    ],
)
def test_the_day_of_a_moment_is_that_of_the_policys_zone(moment: datetime, zone: ZoneInfo, day: date) -> None:
    assert day_of(moment, _policy(time_zone=zone)) == day


def test_a_moment_without_a_zone_has_no_day() -> None:
    with pytest.raises(InvalidDueDate, match="^moment must be a date and time with a time zone"):
        day_of(datetime(2026, 6, 1), _policy())


# Quiet hours ----------------------------------------------------------------------------------------


def _moved(local: datetime, quiet_hours: tuple[time, time], zone: ZoneInfo) -> datetime:
    """Where quiet hours move a local moment to, on the local wall clock."""
    policy = ReminderPolicy(quiet_hours=quiet_hours, time_zone=zone)
    return out_of_quiet_hours(local.replace(tzinfo=zone), policy).astimezone(zone).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (time(20, 59, 59), (0, time(20, 59, 59))),
        (time(21), (1, time(8))),
        (time(23, 30), (1, time(8))),
        (time(0), (0, time(8))),
        (time(7, 59, 59, 999999), (0, time(8))),
        (time(8), (0, time(8))),
        (time(15), (0, time(15))),
    ],
)
def test_quiet_hours_across_midnight_end_in_the_morning(moment: time, expected: tuple[int, time]) -> None:
    day = date(2026, 6, 10)
    moved = _moved(datetime.combine(day, moment), (time(21), time(8)), BERLIN)
    assert moved == datetime.combine(day + timedelta(days=expected[0]), expected[1])


@pytest.mark.parametrize(
    ("moment", "expected"),
    [(time(12, 59), time(12, 59)), (time(13), time(15)), (time(14, 59), time(15)), (time(15), time(15))],
)
def test_quiet_hours_within_a_day_end_that_day(moment: time, expected: time) -> None:
    day = date(2026, 6, 10)
    moved = _moved(datetime.combine(day, moment), (time(13), time(15)), BERLIN)
    assert moved == datetime.combine(day, expected)


def test_quiet_hours_can_end_at_midnight() -> None:
    assert _moved(datetime(2026, 6, 10, 22), (time(21), time(0)), BERLIN) == datetime(2026, 6, 11)


def test_the_wall_clock_of_the_policys_zone_counts() -> None:
    moment = datetime(2026, 6, 10, 2, tzinfo=UTC)  # 22:00 of the day before in New York
    moved = out_of_quiet_hours(moment, _by_day(time_zone=NEW_YORK))
    assert moved == datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "evening", "morning_in_utc"),
    [
        (BERLIN, datetime(2026, 3, 28, 22), datetime(2026, 3, 29, 6, tzinfo=UTC)),  # the night loses an hour
        (BERLIN, datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 7, tzinfo=UTC)),  # and gains one
        (NEW_YORK, datetime(2026, 3, 7, 22), datetime(2026, 3, 8, 12, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 10, 31, 22), datetime(2026, 11, 1, 13, tzinfo=UTC)),
    ],
)
def test_a_night_in_which_the_clocks_change_ends_at_eight_all_the_same(
    zone: ZoneInfo, evening: datetime, morning_in_utc: datetime
) -> None:
    moved = out_of_quiet_hours(evening.replace(tzinfo=zone), _by_day(time_zone=zone))
    assert moved == morning_in_utc


def test_an_end_that_the_clocks_skip_comes_after_the_change() -> None:
    assert _moved(datetime(2026, 3, 29, 1), (time(0), time(2, 30)), BERLIN) == datetime(2026, 3, 29, 3, 30)


def test_an_end_that_comes_twice_counts_the_second_time() -> None:
    policy = ReminderPolicy(quiet_hours=(time(0), time(2, 30)), time_zone=BERLIN)
    moved = out_of_quiet_hours(datetime(2026, 10, 25, 1, tzinfo=BERLIN), policy)
    assert moved == datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN).astimezone(UTC)


def test_a_start_that_comes_twice_counts_the_first_time() -> None:
    policy = ReminderPolicy(quiet_hours=(time(2, 30), time(6)), time_zone=BERLIN)
    moved = out_of_quiet_hours(datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN), policy)
    assert moved == datetime(2026, 10, 25, 6, tzinfo=BERLIN).astimezone(UTC)


def test_where_one_quiet_period_ends_in_the_next_the_next_counts_as_well() -> None:
    # The end, 02:15, comes twice that night and counts the second time; the start, 02:45, came before.
    policy = ReminderPolicy(quiet_hours=(time(2, 45), time(2, 15)), time_zone=BERLIN)
    moved = out_of_quiet_hours(datetime(2026, 10, 24, 12, tzinfo=BERLIN), policy)
    assert moved == datetime(2026, 10, 26, 2, 15, tzinfo=BERLIN).astimezone(UTC)


def test_every_stage_waits_for_the_morning() -> None:
    created = datetime(2026, 6, 1, 23, tzinfo=BERLIN)
    policy = _by_day(follow_up_after=_days(3), overdue_after=_days(1), time_zone=BERLIN)
    planned = plan(created, created + 10 * DAY, created, policy)
    assert [(each.reminder_type, each.run_at.astimezone(BERLIN).time()) for each in planned] == [
        (kind, time(8)) for kind in ReminderType
    ]


def test_a_settlement_created_at_night_gets_its_initial_reminder_in_the_morning() -> None:
    created = datetime(2026, 6, 1, 23, tzinfo=BERLIN)
    first = plan(created, created + 10 * DAY, created, _by_day(time_zone=BERLIN))[0]
    assert first == PlannedReminder(ReminderType.INITIAL, 0, datetime(2026, 6, 2, 6, tzinfo=UTC))


# Distance -------------------------------------------------------------------------------------------


def test_a_follow_up_close_to_the_initial_reminder_is_left_out() -> None:
    policy = _policy(follow_up_after=(5 * HOUR, 12 * HOUR), overdue_after=())
    assert _shown(plan(NOON, NOON + 10 * DAY, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("follow_up", 2, 12 * HOUR),
        ("final", 0, 10 * DAY),
    ]


def test_the_initial_reminder_stays_even_beside_the_final_one() -> None:
    policy = _policy(overdue_after=_days(1))
    assert _shown(plan(NOON, NOON + 2 * HOUR, NOON, policy)) == [
        ("initial", 0, 0 * DAY),
        ("overdue", 1, DAY + 2 * HOUR),
    ]


def test_the_final_reminder_wins_over_a_follow_up() -> None:
    policy = _policy(follow_up_after=_days(3, 6.8), overdue_after=())
    assert [kind for kind, _, _ in _shown(plan(NOON, NOON + 7 * DAY, NOON, policy))] == [
        "initial",
        "follow_up",
        "final",
    ]


def test_an_overdue_reminder_wins_over_the_final_one() -> None:
    policy = _policy(follow_up_after=(), overdue_after=(6 * HOUR,))
    assert [kind for kind, _, _ in _shown(plan(NOON, NOON + 7 * DAY, NOON, policy))] == ["initial", "overdue"]


def test_of_one_stage_the_higher_step_wins() -> None:
    policy = _policy(follow_up_after=_days(3, 3.2), overdue_after=())
    assert ("follow_up", 2, 3.2 * DAY) in _shown(plan(NOON, NOON + 7 * DAY, NOON, policy))
    assert ("follow_up", 1, 3 * DAY) not in _shown(plan(NOON, NOON + 7 * DAY, NOON, policy))


def test_one_that_is_left_out_pushes_nothing_out_itself() -> None:
    policy = _policy(follow_up_after=_days(3, 3.4, 3.8), overdue_after=())
    steps = [
        each.step for each in calendar(NOON, NOON + 7 * DAY, policy) if each.reminder_type == "follow_up"
    ]
    assert steps == [1, 3]


def test_exactly_the_minimum_gap_is_far_enough() -> None:
    policy = _policy(follow_up_after=(12 * HOUR,), overdue_after=(12 * HOUR,))
    assert len(plan(NOON, NOON + DAY, NOON, policy)) == 4


def test_a_gap_of_a_day_is_a_day_of_the_calendar() -> None:
    # On March 29 that is 23 hours, on October 25 it is 25.
    policy = _policy(time_zone=BERLIN, minimum_gap=DAY, overdue_after=_days(1), follow_up_after=())
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
    policy = _by_day(
        follow_up_after=(10 * HOUR, 12 * HOUR), overdue_after=(), minimum_gap=NO_GAP, time_zone=BERLIN
    )
    planned = plan(created, created + 5 * DAY, created, policy)
    assert [(each.reminder_type.value, each.step) for each in planned] == [
        ("initial", 0),
        ("follow_up", 2),
        ("final", 0),
    ]


# What is left to do ---------------------------------------------------------------------------------


def test_what_lapsed_is_left_out() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON + 8 * DAY, _policy())
    assert _shown(planned)[0] == ("final", 0, 10 * DAY)


def test_a_settlement_planned_long_after_everything_has_no_reminder_left() -> None:
    assert plan(NOON, NOON + 10 * DAY, NOON + 400 * DAY, _policy()) == []


@pytest.mark.parametrize(("late", "first"), [(HOUR, "initial"), (HOUR + timedelta(microseconds=1), "final")])
def test_a_reminder_may_be_late_by_the_grace_and_no_more(late: timedelta, first: str) -> None:
    policy = _policy(follow_up_after=())
    assert _shown(plan(NOON, NOON + 10 * DAY, NOON + late, policy))[0][0] == first


def test_of_several_due_ones_the_latest_stays() -> None:
    minutes = [timedelta(minutes=number) for number in range(60)]
    policy = _policy(follow_up_after=(minutes[30], minutes[40], minutes[50]), minimum_gap=NO_GAP)
    planned = plan(NOON, NOON + 10 * DAY, NOON + HOUR + minutes[15], policy)
    assert _shown(planned)[:2] == [("follow_up", 3, minutes[50]), ("final", 0, 10 * DAY)]


def test_of_several_due_ones_the_initial_of_a_new_settlement_stays() -> None:
    minutes = [timedelta(minutes=number) for number in range(60)]
    policy = _policy(follow_up_after=(minutes[10], minutes[20], minutes[50]), minimum_gap=NO_GAP)
    planned = plan(NOON, NOON + 10 * DAY, NOON + minutes[30], policy)
    assert _shown(planned)[:2] == [("initial", 0, minutes[0]), ("follow_up", 3, minutes[50])]


def test_one_that_gave_way_to_a_reminder_gone_out_does_not_come_back() -> None:
    policy = _policy(follow_up_after=(5 * HOUR,), overdue_after=())
    planned = plan(NOON, NOON + 10 * DAY, NOON + 4 * HOUR, policy)  # the initial one lapsed meanwhile
    assert _shown(planned) == [("final", 0, 10 * DAY)]


def test_a_plan_takes_less_than_a_millisecond() -> None:
    policy = _by_day(time_zone=BERLIN)
    rounds = timeit.repeat(lambda: plan(NOON, NOON + 30 * DAY, NOON, policy), repeat=20, number=10)
    assert min(rounds) / 10 < 0.001  # the best round: the others tell what else this machine does


# A settlement, its keys, the policy in force --------------------------------------------------------


def _settlement(**changes: Any) -> Settlement:
    return Settlement(**{"created_at": NOON, "due_date": NOON + 10 * DAY} | changes)


def test_the_plan_of_a_settlement_is_that_of_its_dates() -> None:
    assert plan_for(_settlement(), NOON, _policy()) == plan(NOON, NOON + 10 * DAY, NOON, _policy())


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_settlement_that_owes_nothing_has_no_plan(status: str) -> None:
    assert plan_for(_settlement(status=status), NOON, _policy()) == []


def test_a_settlement_paid_in_part_has_a_plan() -> None:
    assert plan_for(_settlement(status="partially_paid"), NOON, _policy())


def _with_payer_since(moment: datetime | None) -> Settlement:
    settlement = _settlement()
    settlement.payer_since = moment
    return settlement


def test_a_plan_begins_at_the_creation() -> None:
    assert plan_begins_at(_settlement()) == NOON
    assert plan_begins_at(_with_payer_since(None)) == NOON


def test_a_plan_begins_anew_with_a_new_payer() -> None:
    assert plan_begins_at(_with_payer_since(NOON + 2 * DAY)) == NOON + 2 * DAY


def test_a_new_payer_gets_an_initial_reminder_and_follow_ups_counted_from_it() -> None:
    came_in = NOON + 2 * DAY
    assert _shown(plan_for(_with_payer_since(came_in), came_in, _policy(overdue_after=_days(1)))) == [
        ("initial", 0, 2 * DAY),
        ("follow_up", 1, 5 * DAY),
        ("follow_up", 2, 9 * DAY),
        ("final", 0, 10 * DAY),
        ("overdue", 1, 11 * DAY),
    ]


def test_a_payer_who_came_in_after_the_due_date_gets_what_a_settlement_created_then_gets() -> None:
    came_in = NOON + 12 * DAY
    planned = plan_for(_with_payer_since(came_in), came_in, _policy(overdue_after=_days(1, 3)))
    assert _shown(planned) == [("initial", 0, 12 * DAY), ("overdue", 2, 13 * DAY)]


def test_a_plan_that_begins_ahead_of_now_begins_now() -> None:
    ahead = _with_payer_since(NOON + DAY)
    assert plan_for(ahead, NOON, _policy()) == plan(NOON, NOON + 10 * DAY, NOON, _policy())


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
        plan(**moments, policy=_policy())


def test_a_moment_before_all_calendars_is_refused() -> None:
    first_day_in_the_east = datetime(1, 1, 1, tzinfo=timezone(14 * HOUR))
    with pytest.raises(InvalidDueDate, match="out of the calendar's range"):
        plan(NOON, first_day_in_the_east, NOON, _policy())


# After an outage ------------------------------------------------------------------------------------


def test_a_reminder_on_its_own_is_not_superseded() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON, _policy())
    assert not superseded(planned[0], planned, NOON + 2 * DAY)


def test_a_reminder_is_superseded_as_soon_as_a_later_one_is_due() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON, _policy())
    assert superseded(planned[0], planned, NOON + 3 * DAY)


def test_the_plan_of_a_settlement_tells_what_is_superseded() -> None:
    shared: dict[str, Any] = {"planned_at": NOON, "now": NOON + 20 * DAY, "policy": _policy()}
    stages = [("initial", 0), ("follow_up", 1), ("final", 0), ("overdue", 2), ("overdue", 3)]
    assert [superseded_for(_settlement(), kind, step, **shared) for kind, step in stages] == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_what_is_superseded_counts_from_the_payer_who_came_in() -> None:
    came_in = NOON + 2 * DAY
    shared: dict[str, Any] = {"planned_at": came_in, "policy": _policy()}
    settlement = _with_payer_since(came_in)
    assert not superseded_for(settlement, "initial", 0, now=NOON + 4 * DAY, **shared)
    assert superseded_for(settlement, "initial", 0, now=NOON + 5 * DAY, **shared)


def test_a_reminder_asked_for_by_hand_is_never_superseded() -> None:
    shared: dict[str, Any] = {"planned_at": NOON + 19 * DAY, "now": NOON + 30 * DAY, "policy": _policy()}
    assert not superseded_for(_settlement(), "initial", 0, **shared)


# Properties -----------------------------------------------------------------------------------------

CLOCK_CHANGES: dict[str, list[datetime]] = {
    "UTC": [],
    "Europe/Berlin": [datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1)],
    "America/New_York": [datetime(2026, 3, 8, 7), datetime(2026, 11, 1, 6)],
    "Africa/Cairo": [datetime(2026, 4, 23, 22), datetime(2026, 10, 29, 21)],  # at midnight
    "America/Sao_Paulo": [datetime(2018, 11, 4, 3), datetime(2019, 2, 17, 2)],  # at midnight
    "Australia/Lord_Howe": [datetime(2026, 10, 3, 15, 30), datetime(2026, 4, 4, 15)],  # half an hour
    "America/Nuuk": [datetime(2024, 3, 31, 1), datetime(2024, 10, 27, 1)],  # from 23:00 to midnight
    "Pacific/Apia": [],
    "Pacific/Pago_Pago": [],
    "Asia/Kathmandu": [],
}
"""The zones, and when their clocks change, in UTC."""


def _between(shortest: timedelta, longest: timedelta) -> st.SearchStrategy[timedelta]:
    return st.timedeltas(shortest, longest) | st.integers(
        shortest // timedelta(minutes=30), longest // timedelta(minutes=30)
    ).map(lambda halves: halves * timedelta(minutes=30))


anywhere = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
near_a_clock_change = st.builds(
    lambda change, distance: change.replace(tzinfo=UTC) + distance,
    st.sampled_from([change for changes in CLOCK_CHANGES.values() for change in changes]),
    _between(-4 * DAY, 2 * DAY),
)
moments = anywhere | near_a_clock_change
wall_times = st.integers(0, 47).map(lambda halves: time(halves // 2, halves % 2 * 30)) | st.times()
quiet_hours = st.none() | st.tuples(wall_times, wall_times).filter(lambda hours: hours[0] != hours[1])
whole_days = st.integers(1, 40).map(lambda days: days * DAY)
about_whole_days = st.builds(
    lambda days, halves: days + halves * HOUR / 2, whole_days, st.integers(-3, 3)
)  # those that a clock change can turn round
durations = _between(timedelta(microseconds=1), 40 * DAY) | whole_days | about_whole_days
intervals = st.lists(durations, max_size=5).map(
    lambda found: tuple(sorted({interval for interval in found if interval > timedelta(0)}))
)
policies = st.builds(
    ReminderPolicy,
    follow_up_after=intervals,
    overdue_after=intervals,
    quiet_hours=quiet_hours,
    time_zone=st.sampled_from(list(CLOCK_CHANGES)).map(ZoneInfo),
    minimum_gap=st.just(NO_GAP) | st.just(DAY) | _between(NO_GAP, 3 * DAY),
    lapsed_after=st.just(NO_GAP) | _between(NO_GAP, 5 * DAY),
)
Situation = tuple[datetime, datetime, datetime, ReminderPolicy]
situations = st.builds(
    lambda created, due_in, now_in, policy: (created, created + due_in, created + now_in, policy),
    moments,
    _between(-40 * DAY, 90 * DAY),
    st.just(timedelta(0)) | _between(-2 * DAY, 140 * DAY),
    policies,
)
thorough = settings(max_examples=150, deadline=None)


def _is_quiet(moment: datetime, policy: ReminderPolicy) -> bool:
    """The plain reading of quiet hours: what a clock on the wall shows."""
    if policy.quiet_hours is None:
        return False
    start, end = policy.quiet_hours
    shown = moment.astimezone(policy.time_zone).time()
    return start <= shown < end if start < end else shown >= start or shown < end


def _after(start: datetime, interval: timedelta, zone: ZoneInfo) -> datetime:
    """The plain reading of days: of the moments at which the wall clock shows the time, the first."""
    if interval % DAY:
        return start + interval
    wanted = start.astimezone(zone).replace(tzinfo=None, fold=0) + interval
    around = wanted.replace(tzinfo=UTC)
    offsets = {(around + side * DAY).astimezone(zone).utcoffset() for side in (-1.5, 1.5)}
    shown = {
        moment: moment.astimezone(zone).replace(tzinfo=None)
        for moment in sorted(around - offset for offset in offsets if offset is not None)
    }
    exact = [moment for moment, local in shown.items() if local == wanted]
    that_day = [moment for moment, local in shown.items() if local.date() == wanted.date()]
    return exact[0] if exact else max(that_day)


def _candidates(created: datetime, due: datetime, policy: ReminderPolicy) -> list[PlannedReminder]:
    """Every reminder there could be, written as the rules are, without distances."""
    named = [(ReminderType.INITIAL, 0, created), (ReminderType.FINAL, 0, due)]
    named += [
        (kind, step, _after(start, interval, policy.time_zone))
        for kind, start, stage in [
            (ReminderType.FOLLOW_UP, created, policy.follow_up_after),
            (ReminderType.OVERDUE, due, policy.overdue_after),
        ]
        for step, interval in enumerate(stage, 1)
    ]
    return [
        PlannedReminder(kind, step, out_of_quiet_hours(moment, policy))
        for kind, step, moment in named
        if kind == ReminderType.INITIAL or moment > created
        if kind != ReminderType.FOLLOW_UP or moment < due
    ]


@thorough
@given(situations)
def test_a_plan_is_sorted_without_two_of_a_kind(situation: Situation) -> None:
    planned = plan(*situation)
    assert all(earlier.run_at < later.run_at for earlier, later in pairwise(planned))
    assert len({(each.reminder_type, each.step) for each in planned}) == len(planned)


@thorough
@given(situations)
def test_a_plan_keeps_its_distances(situation: Situation) -> None:
    planned, policy = plan(*situation), situation[3]
    for earlier, later in pairwise(planned):
        assert later.run_at >= _after(earlier.run_at, policy.minimum_gap, policy.time_zone)


@thorough
@given(situations)
def test_a_plan_is_never_in_quiet_hours(situation: Situation) -> None:
    assert not [each for each in plan(*situation) if _is_quiet(each.run_at, situation[3])]


@thorough
@given(situations)
def test_at_most_one_of_a_plan_is_due(situation: Situation) -> None:
    now = situation[2]
    assert len([each for each in plan(*situation) if each.run_at <= now]) <= 1


@thorough
@given(situations)
def test_nothing_of_a_plan_has_lapsed(situation: Situation) -> None:
    now, policy = situation[2:]
    assert all(each.run_at >= now - policy.lapsed_after for each in plan(*situation))


@thorough
@given(situations)
def test_planning_again_gives_the_same(situation: Situation) -> None:
    assert plan(*situation) == plan(*situation)


@thorough
@given(situations)
def test_the_stages_of_a_plan_come_in_their_order(situation: Situation) -> None:
    ranks = [(URGENCY[each.reminder_type], each.step) for each in plan(*situation)]
    assert ranks == sorted(ranks)


@thorough
@given(situations)
def test_follow_ups_lie_before_the_due_date_and_overdue_ones_after(situation: Situation) -> None:
    due = situation[1]
    for each in plan(*situation):
        assert each.reminder_type != "follow_up" or each.run_at < due
        assert each.reminder_type != "final" or each.run_at >= due
        assert each.reminder_type != "overdue" or each.run_at > due


@thorough
@given(situations)
def test_a_new_settlement_always_gets_its_initial_reminder(situation: Situation) -> None:
    created, due, _, policy = situation
    planned = plan(created, due, created, policy)
    assert planned[0].reminder_type == "initial"
    assert not [each for each in planned[1:] if each.run_at <= created]


@thorough
@given(situations)
def test_a_calendar_holds_what_the_rules_name_and_omits_only_what_comes_too_close(
    situation: Situation,
) -> None:
    created, due, _, policy = situation
    kept = calendar(created, due, policy)
    candidates = _candidates(created, due, policy)
    assert set(kept) <= set(candidates)
    for omitted in set(candidates) - set(kept):
        rank = (URGENCY[omitted.reminder_type], omitted.step)
        higher = [each for each in kept if (URGENCY[each.reminder_type], each.step) > rank]
        rivals = [(kept[0].run_at, omitted.run_at)]
        rivals += [(omitted.run_at, each.run_at) for each in higher]
        assert any(
            second <= first or second < _after(first, policy.minimum_gap, policy.time_zone)
            for first, second in rivals
        )


@thorough
@given(situations, _between(NO_GAP, 100 * DAY))
def test_as_time_goes_by_a_plan_only_loses_what_came_due(situation: Situation, passed: timedelta) -> None:
    created, due, now, policy = situation
    later = now + passed
    ahead = [each for each in plan(*situation) if each.run_at > later]
    assert [each for each in plan(created, due, later, policy) if each.run_at > later] == ahead


@thorough
@given(situations, _between(NO_GAP, 100 * DAY))
def test_after_an_outage_of_any_length_one_of_the_due_ones_goes_out(
    situation: Situation, outage: timedelta
) -> None:
    now = situation[2]
    planned = plan(*situation)
    due = [each for each in planned if each.run_at <= now + outage]
    going = [each for each in due if not superseded(each, planned, now + outage)]
    assert going == due[-1:]


@thorough
@given(moments, policies)
def test_quiet_hours_end_in_a_moment_that_is_not_quiet(moment: datetime, policy: ReminderPolicy) -> None:
    moved = out_of_quiet_hours(moment, policy)
    assert moved >= moment
    assert not _is_quiet(moved, policy)
    assert out_of_quiet_hours(moved, policy) == moved


@thorough
@given(moments, _between(NO_GAP, 2 * DAY), policies)
def test_quiet_hours_turn_no_order_round(moment: datetime, later: timedelta, policy: ReminderPolicy) -> None:
    assert out_of_quiet_hours(moment, policy) <= out_of_quiet_hours(moment + later, policy)


@thorough
@given(st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)), moments, moments, policies)
def test_any_due_date_at_all_can_be_planned(
    due: datetime, created: datetime, now: datetime, policy: ReminderPolicy
) -> None:
    assert len(plan(created, due, now, policy)) <= 2 + len(policy.follow_up_after) + len(policy.overdue_after)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@given(created=near_a_clock_change, due_in=_between(timedelta(0), 10 * DAY))
@thorough
def test_through_a_clock_change_nights_stay_quiet_and_days_stay_unmoved(
    zone: ZoneInfo, created: datetime, due_in: timedelta
) -> None:
    policy = _by_day(time_zone=zone, follow_up_after=_days(1, 2, 3), overdue_after=_days(1, 2))
    for each in plan(created, created + due_in, created, policy):
        shown = each.run_at.astimezone(zone).time()
        assert time(8) <= shown < time(21)
        named = {created, created + due_in}
        named |= {_after(created, interval, zone) for interval in policy.follow_up_after}
        named |= {_after(created + due_in, interval, zone) for interval in policy.overdue_after}
        assert shown == time(8) or each.run_at in named


by_days = st.lists(st.integers(1, 5).map(lambda days: days * DAY) | whole_days, max_size=5, unique=True).map(
    lambda days: tuple(sorted(days))
)
days_before_a_clock_change_of_the_zone = st.sampled_from(
    [(zone, change) for zone, changes in CLOCK_CHANGES.items() for change in changes]
).flatmap(
    lambda chosen: st.tuples(
        st.just(chosen[0]),
        st.builds(
            lambda days, halves: chosen[1].replace(tzinfo=UTC) - days * DAY + halves * HOUR / 2,
            st.integers(0, 5),
            st.integers(-4, 4),
        ),
    )
)
zoned_moments = days_before_a_clock_change_of_the_zone | st.tuples(
    st.sampled_from(list(CLOCK_CHANGES)), moments
)
situations_of_days = st.builds(
    lambda zoned, due_in, policy, follow_up_after, overdue_after: (
        zoned[1],
        zoned[1] + due_in,
        replace(
            policy,
            time_zone=ZoneInfo(zoned[0]),
            follow_up_after=follow_up_after,
            overdue_after=overdue_after,
            minimum_gap=NO_GAP,
        ),
    ),
    zoned_moments,
    st.just(NO_GAP) | whole_days | _between(-5 * DAY, 50 * DAY),
    policies,
    by_days,
    by_days,
)
Dates = tuple[datetime, datetime, ReminderPolicy]
INTERVALS = {"follow_up": "follow_up_after", "overdue": "overdue_after"}


def _days_of(planned: PlannedReminder, policy: ReminderPolicy) -> timedelta:
    """The whole days after which the policy has a follow-up or an overdue reminder go out."""
    days: timedelta = getattr(policy, INTERVALS[planned.reminder_type])[planned.step - 1]
    return days


@thorough
@given(situations_of_days)
def test_an_overdue_reminder_of_days_never_leaves_before_so_many_days_are_over(dates: Dates) -> None:
    _, due, policy = dates
    for each in calendar(*dates):
        if each.reminder_type == "overdue":
            assert day_of(each.run_at, policy) >= day_of(due, policy) + _days_of(each, policy)


@thorough
@given(situations_of_days)
def test_without_quiet_hours_a_reminder_of_days_leaves_exactly_that_many_days_later(dates: Dates) -> None:
    created, due, policy = dates
    policy = replace(policy, quiet_hours=None)
    for each in calendar(created, due, policy):
        if each.reminder_type in INTERVALS:
            start = created if each.reminder_type == "follow_up" else due
            assert day_of(each.run_at, policy) == day_of(start, policy) + _days_of(each, policy)


@thorough
@given(situations)
def test_without_quiet_hours_follow_ups_leave_before_the_due_date(situation: Situation) -> None:
    created, due, _, policy = situation
    planned = calendar(created, due, replace(policy, quiet_hours=None))
    assert all(each.run_at < due for each in planned if each.reminder_type == "follow_up")


@thorough
@given(situations)
def test_a_calendar_goes_up_in_time_and_in_steps_and_keeps_out_of_quiet_hours(situation: Situation) -> None:
    created, due, _, policy = situation
    planned = calendar(created, due, policy)
    assert all(earlier.run_at < later.run_at for earlier, later in pairwise(planned))
    ranks = [(URGENCY[each.reminder_type], each.step) for each in planned]
    assert ranks == sorted(set(ranks))
    assert not [each for each in planned if _is_quiet(each.run_at, policy)]
