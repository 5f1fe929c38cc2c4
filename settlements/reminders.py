"""The reminder plan of a settlement: a pure function of two dates, the time and the policy.

No database and no clock: everything the plan depends on is an argument, and the same arguments
always give the same plan. All moments in and out are aware; those that come out are in UTC.

Which reminders there are (`calendar`)
    - `initial` (step 0) at the beginning: the creation of the settlement, or the moment when
      somebody else became its payer (`plan_begins_at`);
    - `follow_up` (steps 1, 2, …) each interval after the beginning, as long as that lies before
      the due date;
    - `final` (step 0) at the due date;
    - `overdue` (steps 1, 2, …) each interval after the due date;
    - nothing but the initial one at or before the beginning: a plan that begins after the due
      date starts with its initial reminder and goes on with the overdue ones still ahead.

Days
    An interval of whole days, like a `minimum_gap` of whole days, is that many days on the
    calendar of the policy's zone: three days later at the same wall-clock time, whether that is
    71, 72 or 73 hours. So an overdue reminder of one day never leaves on the due day itself.
    - A wall-clock time that the clocks skip is read as later by what they skip (02:30 as 03:30);
      where that is the next day, because the end of the day is skipped, as earlier by as much.
      Of a day that the calendar skips altogether, the next day takes the place.
    - A wall-clock time that comes twice counts the first time.

    Every other interval is elapsed time: seconds, hours, also a day and a half.

Quiet hours
    A moment in quiet hours moves to their end. The wall clock of the policy's zone counts. On
    the days the clocks change, the quiet period is the longest reading of its two times: an end
    that happens twice counts the second time, a start that happens twice the first time.

Distance
    No two reminders at the same moment, nor closer than `minimum_gap`. The more urgent one stays
    (overdue, final, follow-up; of one stage the higher step), except that the initial reminder
    always stays and whatever comes too close after it is left out.

    Where a change of the clocks turns the order of two steps round (one of a day, one of 24 and a
    half hours, on a day of 25), the higher step stays as well: a plan goes up in steps and in time.

What is left to do at a given time (`plan`)
    - Nothing that should have gone out more than `lapsed_after` ago.
    - At most one that is due: the initial one if it is among them, else the latest. So a
      settlement planned late, or again, never causes a burst.
    - Distances are settled before this, in the calendar: a reminder that had to give way to one
      that has gone out meanwhile does not come back.

What a worker asks before it sends
    - `superseded`: after an outage several reminders are due together; only the latest goes out.
    - `out_of_quiet_hours`: a reminder that comes late must not arrive at night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from settlements.conf import ReminderPolicy, get_settings
from settlements.exceptions import InvalidDueDate
from settlements.models import ReminderType

if TYPE_CHECKING:
    from settlements.models import Settlement

__all__ = [
    "PlannedReminder",
    "ReminderPolicy",
    "Moves",
    "calendar",
    "current_policy",
    "day_of",
    "is_far_enough",
    "moved",
    "not_after",
    "not_before",
    "out_of_quiet_hours",
    "plan",
    "plan_begins_at",
    "plan_for",
    "quiet_periods_between",
    "step_key",
    "superseded",
    "superseded_for",
]

_DAY = timedelta(days=1)
# No zone has ever skipped more than one day.
_MOST_SET_FORWARD = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class PlannedReminder:
    """One reminder of a plan: its stage, its number within the stage, and when it goes out."""

    reminder_type: ReminderType
    step: int
    run_at: datetime


def current_policy() -> ReminderPolicy:
    """The policy of the settings in force."""
    return get_settings().reminders


def day_of(moment: datetime, policy: ReminderPolicy) -> date:
    """The calendar day of a moment in the policy's zone: what its people call the day."""
    moment = _in_utc(moment, "moment")
    try:
        return moment.astimezone(policy.time_zone).date()
    except OverflowError:
        return moment.date()  # The first or last day that a date can hold.


Moves = Mapping[tuple[str, int], datetime]
"""Where somebody moved reminders to: an aware moment by stage and step."""
_UNMOVED: Final[Moves] = MappingProxyType({})


def plan(
    begins_at: datetime,
    due_date: datetime,
    now: datetime,
    policy: ReminderPolicy,
    moves: Moves = _UNMOVED,
) -> list[PlannedReminder]:
    """The reminders still to go out at `now`, by time: at most one of them due, the others ahead."""
    now = _in_utc(now, "now")
    oldest = _later(now, -policy.lapsed_after)
    alive = [
        reminder
        for reminder in moved(calendar(begins_at, due_date, policy), moves)
        if oldest is None or reminder.run_at >= oldest
    ]
    due = [reminder for reminder in alive if reminder.run_at <= now]
    return _one_of(due) + alive[len(due) :]


def plan_begins_at(settlement: Settlement) -> datetime:
    """From when a settlement's plan counts: its creation, or since when its payer has been the payer."""
    payer_since: datetime | None = getattr(settlement, "payer_since", None)
    return payer_since or settlement.created_at


def plan_for(
    settlement: Settlement, now: datetime, policy: ReminderPolicy, moves: Moves = _UNMOVED
) -> list[PlannedReminder]:
    """The plan of a settlement; empty when nothing is owed any more."""
    if not settlement.is_open:
        return []
    # A host whose clock is ahead wrote a time that is still to come; no plan began after now.
    return plan(min(plan_begins_at(settlement), now), settlement.due_date, now, policy, moves)


def moved(reminders: list[PlannedReminder], moves: Moves) -> list[PlannedReminder]:
    """The reminders of a calendar, by time, those that somebody moved at their new times."""
    if not moves:
        return reminders
    shifted = [
        replace(one, run_at=_in_utc(moves.get((one.reminder_type.value, one.step), one.run_at), "moved to"))
        for one in reminders
    ]
    return sorted(shifted, key=lambda one: one.run_at)


def calendar(begins_at: datetime, due_date: datetime, policy: ReminderPolicy) -> list[PlannedReminder]:
    """Every reminder between these dates, by time, whether past or ahead."""
    begins_at = _in_utc(begins_at, "begins_at")
    due_date = _in_utc(due_date, "due_date")
    initial = PlannedReminder(ReminderType.INITIAL, 0, out_of_quiet_hours(begins_at, policy))
    others = [
        PlannedReminder(reminder_type, step, out_of_quiet_hours(moment, policy))
        for reminder_type, step, moment in _moments_after_beginning(begins_at, due_date, policy)
    ]
    return [initial, *_spaced(others, initial.run_at, policy)]


def superseded(planned: PlannedReminder, all_planned: Iterable[PlannedReminder], now: datetime) -> bool:
    """Whether a later reminder of the same plan is due as well, so that this one need not go out.

    `all_planned` is the plan that `planned` was made with, not the plan as of now, which no
    longer holds what has lapsed: see `superseded_for`.
    """
    now = _in_utc(now, "now")
    return any(planned.run_at < other.run_at <= now for other in all_planned)


def superseded_for(
    settlement: Settlement,
    reminder_type: str,
    step: int,
    *,
    planned_at: datetime,
    now: datetime,
    policy: ReminderPolicy,
    moves: Moves = _UNMOVED,
) -> bool:
    """Whether a later reminder is due together with this one of the plan made at `planned_at`.

    False for a reminder that plan does not hold, such as one that somebody asked for by hand.
    """
    all_planned = plan_for(settlement, planned_at, policy, moves)
    for planned in all_planned:
        if (planned.reminder_type, planned.step) == (reminder_type, step):
            return superseded(planned, all_planned, now)
    return False


def step_key(settlement_id: UUID | str, planned: PlannedReminder, due_date: datetime) -> str:
    """The unique key of one reminder's job: another due date makes it another reminder."""
    due = _in_utc(due_date, "due_date").isoformat()
    return f"reminder:{settlement_id}:{planned.reminder_type.value}:{planned.step}:{due}"


def out_of_quiet_hours(moment: datetime, policy: ReminderPolicy) -> datetime:
    """The moment itself, or the end of the quiet period it lies in; in UTC."""
    moment = _in_utc(moment, "moment")
    if policy.quiet_hours is None:
        return moment
    start, end = policy.quiet_hours
    try:
        # Where clocks change, the end of one period can lie in the next: then once more.
        while (later := _end_of_quiet_period(moment, start, end, policy.time_zone)) is not None:
            moment = later
    except (OverflowError, ValueError):
        pass  # The first or last day that a datetime can hold: no reminder will ever go out then.
    return moment


def quiet_periods_between(
    first: datetime, last: datetime, policy: ReminderPolicy
) -> list[tuple[datetime, datetime]]:
    """The quiet periods that touch the time between two moments, in UTC."""
    if policy.quiet_hours is None:
        return []
    days = range(day_of(first, policy).toordinal() - 1, day_of(last, policy).toordinal() + 1)
    periods = (_quiet_period(day, *policy.quiet_hours, policy.time_zone) for day in days)
    return [(start, end) for start, end in periods if start < last and end > first]


def _moments_after_beginning(
    begins_at: datetime, due_date: datetime, policy: ReminderPolicy
) -> list[tuple[ReminderType, int, datetime]]:
    follow_ups = [
        (ReminderType.FOLLOW_UP, step, moment)
        for step, moment in _steps(begins_at, policy.follow_up_after, policy.time_zone)
        if moment < due_date
    ]
    final = (ReminderType.FINAL, 0, due_date)
    overdue = [
        (ReminderType.OVERDUE, step, moment)
        for step, moment in _steps(due_date, policy.overdue_after, policy.time_zone)
    ]
    return [entry for entry in (*follow_ups, final, *overdue) if entry[2] > begins_at]


def _steps(start: datetime, intervals: tuple[timedelta, ...], zone: ZoneInfo) -> list[tuple[int, datetime]]:
    """The numbered moments after `start`, without those past the end of all calendars."""
    moments = ((step, _after(start, interval, zone)) for step, interval in enumerate(intervals, start=1))
    return [(step, moment) for step, moment in moments if moment is not None]


def _after(start: datetime, interval: timedelta, zone: ZoneInfo) -> datetime | None:
    """The moment an interval after `start`, in UTC; None if that is past the end of all calendars."""
    if interval % _DAY:
        return _later(start, interval)
    try:
        return _days_after(start, interval, zone)
    except OverflowError:
        return None


def _days_after(start: datetime, whole_days: timedelta, zone: ZoneInfo) -> datetime:
    """The same time by the zone's wall clock, that many calendar days after `start`."""
    local = start.astimezone(zone)
    day = local.date() + whole_days
    # Of a time that comes twice this is the first reading, of one that is skipped the later one.
    readings = _readings(day.toordinal(), local.time(), zone)
    if readings[0] == readings[1]:
        return readings[0]
    on_that_day = (reading for reading in readings if reading.astimezone(zone).date() == day)
    return next(on_that_day, readings[0])


def _spaced(
    reminders: list[PlannedReminder], initial_at: datetime, policy: ReminderPolicy
) -> list[PlannedReminder]:
    """Those of the reminders, by urgency, that keep their distance from the initial one and each other."""
    kept: list[PlannedReminder] = []
    # From the end, each one kept pushes out what would come too close before it, or even after it.
    for reminder in reversed(reminders):
        if not is_far_enough(initial_at, reminder.run_at, policy):
            continue
        if not kept or is_far_enough(reminder.run_at, kept[-1].run_at, policy):
            kept.append(reminder)
    kept.reverse()
    return kept


def not_before(earlier: datetime, policy: ReminderPolicy) -> datetime | None:
    """From when on a reminder may follow another one; None past the end of all calendars."""
    return _after(earlier, policy.minimum_gap, policy.time_zone)


def not_after(later: datetime, policy: ReminderPolicy) -> datetime | None:
    """Until when a reminder may go before another one, never with it; None before all calendars."""
    if not policy.minimum_gap:
        return later
    moment = _after(later, -policy.minimum_gap, policy.time_zone)
    # Whole days back from a time that the clocks skip, or that comes twice, may be an hour or two short.
    for _hour in range(3):
        if moment is None or is_far_enough(moment, later, policy):
            return moment
        moment = _later(moment, -timedelta(hours=1))
    return moment


def is_far_enough(earlier: datetime, later: datetime, policy: ReminderPolicy) -> bool:
    """Whether a reminder may follow another one so soon."""
    elapsed = later - earlier
    if elapsed <= timedelta(0):
        return False
    if elapsed > policy.minimum_gap + _MOST_SET_FORWARD:  # so are most, and the calendar need not be asked
        return True
    begin = not_before(earlier, policy)
    return begin is not None and later >= begin


def _one_of(due: list[PlannedReminder]) -> list[PlannedReminder]:
    if due and due[0].reminder_type == ReminderType.INITIAL:
        return due[:1]
    return due[-1:]


def _end_of_quiet_period(moment: datetime, start: time, end: time, zone: ZoneInfo) -> datetime | None:
    """When the quiet period around the moment ends; None if the moment lies in none."""
    today = moment.astimezone(zone).date().toordinal()
    # Yesterday's period can reach into today. Tomorrow's can begin today where midnight is skipped.
    for day in (today - 1, today, today + 1):
        begins_at, ends_at = _quiet_period(day, start, end, zone)
        if begins_at <= moment < ends_at:
            return ends_at
    return None


@lru_cache(maxsize=4096)
def _quiet_period(day: int, start: time, end: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The quiet period that begins on the day (an ordinal), as two moments in UTC."""
    last_day = day + 1 if end < start else day
    return min(_readings(day, start, zone)), max(_readings(last_day, end, zone))


def _readings(day: int, wall_time: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Both moments that a wall clock's time can mean; the same moment twice on ordinary days."""
    local = datetime.combine(date.fromordinal(day), wall_time, tzinfo=zone)
    return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _later(moment: datetime, interval: timedelta) -> datetime | None:
    try:
        return moment + interval
    except OverflowError:
        return None


def _in_utc(moment: datetime, name: str) -> datetime:
    """The moment in UTC, where differences are elapsed time; InvalidDueDate if it is not aware."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidDueDate(f"{name} must be a date and time with a time zone, not {moment!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidDueDate(f"{name} is out of the calendar's range in UTC: {moment!r}") from None
