"""Which reminders a policy would send in the next days, on the rows as they are: nothing is written or sent.

The plan is the one that planning makes (`settlements.reminders`), with what went out, what was cancelled and
moved, and with the people whom letters do not reach left out. What changes in the days to come, payments
above all, nobody knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from settlements.conf import ReminderPolicy
from settlements.decisions import key_of
from settlements.history import counts_as_history
from settlements.models import (
    BarredAddress,
    Cancellation,
    MovedReminder,
    ReminderDelivery,
    ReminderType,
    Settlement,
)
from settlements.reminders import Moves, PlannedReminder, day_of, plan_for

MOST: Final = 5_000
"""Settlements that are looked at: planning one takes about 0.2 ms."""
_COUNTED_FROM_CREATION: Final = (ReminderType.INITIAL, ReminderType.FOLLOW_UP)


@dataclass(slots=True)
class SimulatedDay:
    """What goes out on a day of the policy's zone: letters by stage, and to how many people."""

    day: date
    letters: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    people: set[Hashable] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The days, and how many settlements were looked at; `is_cut` if there are more."""

    days: list[SimulatedDay]
    settlements: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What was decided about the settlements, and what went out."""

    sent: dict[Any, list[tuple[str, int, datetime, int]]]
    cancelled: set[tuple[Any, str]]
    moves: dict[tuple[Any, datetime, int], dict[tuple[str, int], datetime]]
    barred: set[str]


def simulate(policy: ReminderPolicy, now: datetime, days: int, using: str) -> Simulation:
    """The reminders of so many days from `now` on, by this policy; six statements."""
    rows = Settlement.objects.using(using).filter(status__in=Settlement.OPEN, reminders_paused=False)
    found = list(rows.exclude(history=True).select_related("payer").order_by("-created_at", "pk")[: MOST + 1])
    chosen = [one for one in found[:MOST] if not counts_as_history(one)]
    known = _known(chosen, using)
    first = day_of(now, policy)
    simulated = [SimulatedDay(first + timedelta(days=number)) for number in range(days)]
    for settlement in chosen:
        for reminder in _reminders(settlement, now, policy, known):
            position = (day_of(max(reminder.run_at, now), policy) - first).days
            if 0 <= position < days:
                simulated[position].letters[reminder.reminder_type.value] += 1
                simulated[position].people.add(settlement.payer_id)
    return Simulation(simulated, len(chosen), is_cut=len(found) > MOST)


def _known(settlements: list[Settlement], using: str) -> _Known:
    keys = [one.pk for one in settlements]
    sent: dict[Any, Any] = defaultdict(list)
    deliveries = ReminderDelivery.objects.using(using).filter(settlement__in=keys)
    for key, *reminder in deliveries.exclude(status=ReminderDelivery.Status.NOT_DELIVERED).values_list(
        "settlement_id", "reminder_type", "step", "due_date", "payer_term"
    ):
        sent[key].append(tuple(reminder))
    moves: dict[Any, Any] = defaultdict(dict)
    for row in MovedReminder.objects.using(using).filter(settlement__in=keys):
        moves[row.settlement_id, row.due_date, row.payer_term][row.reminder_type, row.step] = row.run_at
    cancelled = Cancellation.objects.using(using).filter(settlement__in=keys)
    barred = BarredAddress.objects.using(using).barred().among(*(one.payer.email for one in settlements))
    return _Known(
        sent,
        set(cancelled.values_list("settlement_id", "unique_key")),
        moves,
        set(barred.values_list("address", flat=True)),
    )


def _reminders(
    settlement: Settlement, now: datetime, policy: ReminderPolicy, known: _Known
) -> Iterator[PlannedReminder]:
    payer = settlement.payer
    if not payer.email or not payer.is_active or payer.email.lower() in known.barred:
        return
    due, term = settlement.due_date, settlement.payer_term
    moves: Moves = known.moves.get((settlement.pk, due, term), {})
    sent = set(_sent(known.sent.get(settlement.pk, ()), due, term))
    for reminder in plan_for(settlement, now, policy, moves):
        is_cancelled = (settlement.pk, key_of(settlement.pk, reminder, due, term)) in known.cancelled
        if (reminder.reminder_type.value, reminder.step) not in sent and not is_cancelled:
            yield reminder


def _sent(
    deliveries: Iterable[tuple[str, int, datetime, int]], due: datetime, term: int
) -> Iterator[tuple[str, int]]:
    """What counts as sent for this due date and payer, as planning sees it."""
    for stage, step, due_then, term_then in deliveries:
        if term_then == term and (stage in _COUNTED_FROM_CREATION or due_then == due):
            yield stage, step
