"""What a person owes: asked of the database, however many other settlements the person has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, Q, QuerySet

from settlements.asking import as_letters_see_them
from settlements.history import counts_as_history
from settlements.models import Settlement

MOST_OWED: Final = 100
MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Some:
    """Some of what is owed: how many settlements, and by name those among the newest that are owed."""

    number: int
    newest: list[Settlement]


@dataclass(frozen=True, slots=True)
class Owing:
    """The newest settlements that the person is to pay; how many of all are paused, and how many history."""

    settlements: list[Settlement]
    are_more: bool
    paused: Some
    history: Some


def owed_by(person: Any) -> Owing:
    """What the person owes, by one question; by two where that is more than are looked at."""
    return owing_of(person, list(newest_owed(person)))


def newest_owed(person: Any) -> QuerySet[Settlement]:
    """The newest that the person is to pay, one more than are looked at if there are more."""
    return as_letters_see_them(_owed(person)).order_by("-created_at", "-pk")[: MOST_OWED + 1]


def _owed(person: Any) -> QuerySet[Settlement]:
    return Settlement.objects.filter(payer=person, status__in=Settlement.OPEN)


def owing_of(person: Any, found: list[Settlement]) -> Owing:
    """What the person owes, of whom the newest were read; asked once more where these are not all."""
    for one in found:
        one.payer = person
    paused = [one for one in found if one.reminders_paused]
    history = [one for one in found if counts_as_history(one)]
    if len(found) <= MOST_OWED:
        return Owing(found, False, _some(paused, len(paused)), _some(history, len(history)))
    numbers = _owed(person).aggregate(
        paused=Count("pk", filter=Q(reminders_paused=True)), history=Count("pk", filter=Q(history=True))
    )
    # Of rows that the reconciler has not announced yet, those among the newest alone are judged.
    unannounced = [one for one in history if one.history is None]
    return Owing(
        found[:MOST_OWED],
        True,
        _some(paused, numbers["paused"]),
        _some(history, numbers["history"] + len(unannounced)),
    )


def _some(rows: list[Settlement], number: int) -> Some:
    return Some(number, rows[:MOST_NAMED])
