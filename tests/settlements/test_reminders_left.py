"""What is left of a reminder plan as time goes by."""

from __future__ import annotations

import timeit
from datetime import timedelta
from typing import Any

import pytest

from settlements.reminders import (
    plan,
    superseded,
    superseded_for,
)
from tests.settlements.reminder_steps import (
    BERLIN,
    DAY,
    HOUR,
    NO_GAP,
    NOON,
    policy_by_day,
    policy_with,
    settlement_with,
    settlement_with_payer_since,
    shown_plan,
)

# What is left to do -------------------------------------------------------------------------------


def test_what_lapsed_is_left_out() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON + 8 * DAY, policy_with())
    assert shown_plan(planned)[0] == ("final", 0, 10 * DAY)


def test_a_settlement_planned_long_after_everything_has_no_reminder_left() -> None:
    assert plan(NOON, NOON + 10 * DAY, NOON + 400 * DAY, policy_with()) == []


@pytest.mark.parametrize(("late", "first"), [(HOUR, "initial"), (HOUR + timedelta(microseconds=1), "final")])
def test_a_reminder_may_be_late_by_the_grace_and_no_more(late: timedelta, first: str) -> None:
    policy = policy_with(follow_up_after=())
    assert shown_plan(plan(NOON, NOON + 10 * DAY, NOON + late, policy))[0][0] == first


def test_of_several_due_ones_the_latest_stays() -> None:
    minutes = [timedelta(minutes=number) for number in range(60)]
    policy = policy_with(follow_up_after=(minutes[30], minutes[40], minutes[50]), minimum_gap=NO_GAP)
    planned = plan(NOON, NOON + 10 * DAY, NOON + HOUR + minutes[15], policy)
    assert shown_plan(planned)[:2] == [("follow_up", 3, minutes[50]), ("final", 0, 10 * DAY)]


def test_of_several_due_ones_the_initial_of_a_new_settlement_stays() -> None:
    minutes = [timedelta(minutes=number) for number in range(60)]
    policy = policy_with(follow_up_after=(minutes[10], minutes[20], minutes[50]), minimum_gap=NO_GAP)
    planned = plan(NOON, NOON + 10 * DAY, NOON + minutes[30], policy)
    assert shown_plan(planned)[:2] == [("initial", 0, minutes[0]), ("follow_up", 3, minutes[50])]


def test_one_that_gave_way_to_a_reminder_gone_out_does_not_come_back() -> None:
    policy = policy_with(follow_up_after=(5 * HOUR,), overdue_after=())
    planned = plan(NOON, NOON + 10 * DAY, NOON + 4 * HOUR, policy)  # the initial one lapsed meanwhile
    assert shown_plan(planned) == [("final", 0, 10 * DAY)]


def test_a_plan_takes_less_than_a_millisecond() -> None:
    policy = policy_by_day(time_zone=BERLIN)
    rounds = timeit.repeat(lambda: plan(NOON, NOON + 30 * DAY, NOON, policy), repeat=20, number=10)
    assert min(rounds) / 10 < 0.001  # the best round: the others tell what else this machine does


# After an outage ----------------------------------------------------------------------------------


def test_a_reminder_on_its_own_is_not_superseded() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON, policy_with())
    assert not superseded(planned[0], planned, NOON + 2 * DAY)


def test_a_reminder_is_superseded_as_soon_as_a_later_one_is_due() -> None:
    planned = plan(NOON, NOON + 10 * DAY, NOON, policy_with())
    assert superseded(planned[0], planned, NOON + 3 * DAY)


def test_the_plan_of_a_settlement_tells_what_is_superseded() -> None:
    shared: dict[str, Any] = {"planned_at": NOON, "now": NOON + 20 * DAY, "policy": policy_with()}
    stages = [("initial", 0), ("follow_up", 1), ("final", 0), ("overdue", 2), ("overdue", 3)]
    assert [superseded_for(settlement_with(), kind, step, **shared) for kind, step in stages] == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_what_is_superseded_counts_from_the_payer_who_came_in() -> None:
    came_in = NOON + 2 * DAY
    shared: dict[str, Any] = {"planned_at": came_in, "policy": policy_with()}
    settlement = settlement_with_payer_since(came_in)
    assert not superseded_for(settlement, "initial", 0, now=NOON + 4 * DAY, **shared)
    assert superseded_for(settlement, "initial", 0, now=NOON + 5 * DAY, **shared)


def test_a_reminder_asked_for_by_hand_is_never_superseded() -> None:
    shared: dict[str, Any] = {"planned_at": NOON + 19 * DAY, "now": NOON + 30 * DAY, "policy": policy_with()}
    assert not superseded_for(settlement_with(), "initial", 0, **shared)
