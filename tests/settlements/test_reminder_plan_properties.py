"""What holds for every reminder plan, whatever its dates and its policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlements.conf import ReminderPolicy
from settlements.models import ReminderType
from settlements.reminders import (
    PlannedReminder,
    calendar,
    day_of,
    out_of_quiet_hours,
    plan,
    superseded,
)
from tests.settlements.reminder_steps import (
    BERLIN,
    DAY,
    HOUR,
    NEW_YORK,
    NO_GAP,
    of_days,
    policy_by_day,
)

URGENCY = {kind: rank for rank, kind in enumerate(ReminderType)}
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
    policy = policy_by_day(time_zone=zone, follow_up_after=of_days(1, 2, 3), overdue_after=of_days(1, 2))
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
