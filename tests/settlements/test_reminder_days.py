"""The days and the quiet hours of the reminder plan."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from settlements import reminders
from settlements.conf import ReminderPolicy
from settlements.exceptions import InvalidDueDate
from settlements.models import ReminderType
from settlements.reminders import (
    PlannedReminder,
    calendar,
    day_of,
    is_far_enough,
    out_of_quiet_hours,
    plan,
)
from tests.settlements.reminder_steps import (
    APIA,
    BERLIN,
    CAIRO,
    DAY,
    HOUR,
    LORD_HOWE,
    NEW_YORK,
    NO_GAP,
    NUUK,
    PAGO_PAGO,
    SAO_PAULO,
    of_days,
    policy_by_day,
    policy_with,
)

# Days ---------------------------------------------------------------------------------------------


def _overdue_after(due: datetime, *intervals: timedelta, zone: ZoneInfo) -> list[tuple[int, datetime]]:
    """Steps and moments of the overdue reminders of a settlement due at the moment."""
    policy = policy_with(follow_up_after=(), overdue_after=intervals, minimum_gap=NO_GAP, time_zone=zone)
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
    assert _overdue_after(due, *of_days(1, 2, 3), zone=APIA) == [
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
    planned = calendar(
        created, created + 10 * DAY, policy_with(time_zone=BERLIN, follow_up_after=of_days(1, 3))
    )
    assert [each.run_at for each in planned if each.reminder_type == "follow_up"] == [
        datetime(2026, 10, 25, 23, 30, tzinfo=UTC),
        datetime(2026, 10, 27, 23, 30, tzinfo=UTC),
    ]


def test_a_follow_up_that_the_calendar_puts_on_the_due_date_is_left_out() -> None:
    created = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    due = datetime(2026, 10, 26, 0, 30, tzinfo=BERLIN)
    planned = calendar(created, due, policy_with(time_zone=BERLIN, follow_up_after=of_days(1)))
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
    assert day_of(moment, policy_with(time_zone=zone)) == day


def test_a_moment_without_a_zone_has_no_day() -> None:
    with pytest.raises(InvalidDueDate, match="^moment must be a date and time with a time zone"):
        day_of(datetime(2026, 6, 1), policy_with())


# Quiet hours --------------------------------------------------------------------------------------


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
    moved = out_of_quiet_hours(moment, policy_by_day(time_zone=NEW_YORK))
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
    moved = out_of_quiet_hours(evening.replace(tzinfo=zone), policy_by_day(time_zone=zone))
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
    policy = policy_by_day(follow_up_after=of_days(3), overdue_after=of_days(1), time_zone=BERLIN)
    planned = plan(created, created + 10 * DAY, created, policy)
    assert [(each.reminder_type, each.run_at.astimezone(BERLIN).time()) for each in planned] == [
        (kind, time(8)) for kind in ReminderType
    ]


def test_a_settlement_created_at_night_gets_its_initial_reminder_in_the_morning() -> None:
    created = datetime(2026, 6, 1, 23, tzinfo=BERLIN)
    first = plan(created, created + 10 * DAY, created, policy_by_day(time_zone=BERLIN))[0]
    assert first == PlannedReminder(ReminderType.INITIAL, 0, datetime(2026, 6, 2, 6, tzinfo=UTC))


@pytest.mark.parametrize("zone", [APIA, PAGO_PAGO, BERLIN, CAIRO, LORD_HOWE, NUUK, SAO_PAULO])
@pytest.mark.parametrize("gap", [DAY, 3 * DAY, 90 * 60 * timedelta(seconds=1)])
def test_what_is_far_enough_at_first_sight_is_so_by_the_calendar_of_any_zone(
    zone: ZoneInfo, gap: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, margin = policy_with(minimum_gap=gap, time_zone=zone), reminders._MOST_SET_FORWARD
    monkeypatch.setattr(reminders, "_MOST_SET_FORWARD", 9_999 * DAY)  # the calendar is asked each time
    # Apia skipped the 30th of December 2011.
    moments = [datetime(2011, 6, 1, tzinfo=UTC) + hours * HOUR for hours in range(0, 400 * 24, 5)]
    assert all(is_far_enough(moment, moment + gap + margin, policy) for moment in moments)
