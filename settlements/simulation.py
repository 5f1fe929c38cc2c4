"""Which reminders a policy would send in the next days, on the rows as they are: nothing is written or sent.

The plan is the one that planning makes (`settlements.reminders`), with what went out, what was cancelled and
moved, and with the people whom letters do not reach left out. What is held stands beside the letters of its
day; what ran without a letter, was skipped or failed, is settled. What changes in the days to come, payments
above all, nobody knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet

from jobqueue.models import Job, subject_of
from settlements.conf import ReminderPolicy
from settlements.decisions import REMINDERS, key_of
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

MOST: Final = 300
"""Settlements of one page: planning one takes about 0.2 ms."""
_COUNTED_FROM_CREATION: Final = (ReminderType.INITIAL, ReminderType.FOLLOW_UP)


@dataclass(slots=True)
class SimulatedDay:
    """What goes out on a day of the policy's zone: letters by stage, and to how many people; what is held."""

    day: date
    held: int = 0
    letters: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    people: set[Hashable] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The days, how many settlements were looked at, and behind which key the next page begins, if any."""

    days: list[SimulatedDay]
    settlements: int
    next_key: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to simulate in all, and which of its pages is shown."""

    settlements: int
    payers: int
    page: int

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(self.page, -(-self.settlements // MOST))


@dataclass(frozen=True, slots=True)
class _Known:
    """What was decided about the settlements, and what went out."""

    sent: dict[Any, list[tuple[str, int, datetime, int]]]
    cancelled: set[tuple[Any, str]]
    moves: dict[tuple[Any, datetime, int], dict[tuple[str, int], datetime]]
    barred: set[str]
    held: set[str]
    """The unique keys of reminders that are held, and those of reminders that are settled, by their jobs."""
    ended: set[str]


def simulate(policy: ReminderPolicy, now: datetime, days: int, using: str, after: str = "") -> Simulation:
    """The reminders of so many days from `now` on, by this policy, of a page of settlements by payer.

    Seven statements. Raises ValueError for an `after` that is the key of no page.
    """
    rows = _open(using).filter(_behind(after))
    found = list(rows.select_related("payer").order_by("payer_id", "pk")[: MOST + 1])
    chosen = [one for one in found[:MOST] if not counts_as_history(one)]
    known = _known(chosen, using)
    first = day_of(now, policy)
    simulated = [SimulatedDay(first + timedelta(days=number)) for number in range(days)]
    for settlement in chosen:
        for reminder, is_held in _reminders(settlement, now, policy, known):
            position = (day_of(max(reminder.run_at, now), policy) - first).days
            if 0 <= position < days:
                _add(simulated[position], settlement, reminder, is_held)
    return Simulation(simulated, len(chosen), _key(found[MOST - 1]) if len(found) > MOST else "")


def _add(day: SimulatedDay, settlement: Settlement, reminder: PlannedReminder, is_held: bool) -> None:
    if is_held:
        day.held += 1
    else:
        day.letters[reminder.reminder_type.value] += 1
        day.people.add(settlement.payer_id)


def extent(using: str, after: str = "") -> Extent:
    """How many settlements are simulated on all pages together, of how many payers; one statement.

    Raises ValueError for an `after` that is the key of no page.
    """
    counted = {"settlements": Count("pk"), "payers": Count("payer_id", distinct=True)}
    if after:
        counted["behind"] = Count("pk", filter=_behind(after))
    found = _open(using).aggregate(**counted)
    before = found["settlements"] - found.get("behind", found["settlements"])
    return Extent(found["settlements"], found["payers"], before // MOST + 1)


def _open(using: str) -> QuerySet[Settlement]:
    """The settlements whose reminders are simulated."""
    rows = Settlement.objects.using(using).filter(status__in=Settlement.OPEN, reminders_paused=False)
    return rows.exclude(history=True)


def _key(settlement: Settlement) -> str:
    return f"{settlement.pk}:{settlement.payer_id}"


def _behind(key: str) -> Q:
    """What comes behind this key; all of it behind none."""
    if not key:
        return Q()
    number, _colon, payer = key.partition(":")
    try:
        pk = Settlement._meta.pk.to_python(number)
        payer_id: Any = Settlement._meta.get_field("payer").target_field.clean(payer, None)
    except ValidationError as error:
        raise ValueError(key) from error
    # The first condition is what an index is asked for.
    return Q(payer_id__gte=payer_id) & (Q(payer_id__gt=payer_id) | Q(pk__gt=pk))


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
        *_by_jobs(settlements, using),
    )


def _by_jobs(settlements: list[Settlement], using: str) -> tuple[set[str], set[str]]:
    """The unique keys of the reminders that are held, and of those whose jobs have all ended."""
    rows = Job.objects.using(using).filter(processor=REMINDERS, unique_key__isnull=False)
    jobs = rows.filter(subject__in=[subject_of(one) for one in settlements]).exclude(subject="").order_by()
    held: set[str] = set()
    waiting: set[str] = set()
    ended: set[str] = set()
    for key, state, held_run_at in jobs.values_list("unique_key", "state", "held_run_at"):
        if state not in (Job.State.WAITING, Job.State.ACTIVE):
            ended.add(str(key))
        elif state == Job.State.WAITING and held_run_at is not None:
            held.add(str(key))
        else:
            waiting.add(str(key))
    return held - waiting, ended - waiting - held


def _reminders(
    settlement: Settlement, now: datetime, policy: ReminderPolicy, known: _Known
) -> Iterator[tuple[PlannedReminder, bool]]:
    """What is still to go out, and whether it is held."""
    payer = settlement.payer
    if not payer.email or not payer.is_active or payer.email.lower() in known.barred:
        return
    due, term = settlement.due_date, settlement.payer_term
    moves: Moves = known.moves.get((settlement.pk, due, term), {})
    sent = set(_sent(known.sent.get(settlement.pk, ()), due, term))
    for reminder in plan_for(settlement, now, policy, moves):
        key = key_of(settlement.pk, reminder, due, term)
        is_settled = (settlement.pk, key) in known.cancelled or key in known.ended
        if (reminder.reminder_type.value, reminder.step) not in sent and not is_settled:
            yield reminder, key in known.held


def _sent(
    deliveries: Iterable[tuple[str, int, datetime, int]], due: datetime, term: int
) -> Iterator[tuple[str, int]]:
    """What counts as sent for this due date and payer, as planning sees it."""
    for stage, step, due_then, term_then in deliveries:
        if term_then == term and (stage in _COUNTED_FROM_CREATION or due_then == due):
            yield stage, step
