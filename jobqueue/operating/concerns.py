"""Whom failed jobs are about, and what it is worth: told by the apps that own the records.

`jobqueue` knows no people and no money. An app registers, in its `admin`, a function that is given subjects
of jobs ("app.model:pk") and the request, and answers for those that are its own, as far as this user may see
them:

    from jobqueue.admin import Concern, tells_concerns

    @tells_concerns
    def of_invoices(subjects, request):
        return {"shop.invoice:7": Concern(people=frozenset({17}), amounts=(("EUR", Decimal("84.50")),))}

It is asked once for a page, with at most MOST_SUBJECTS subjects, and takes one query, however many there are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from django.http import HttpRequest
from django.utils.translation import ngettext

from jobqueue.operating.words import grouped
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

MOST_SUBJECTS = 5_000


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom one record is about, by their keys, and amounts: `(currency, amount)`."""

    people: frozenset[Hashable] = frozenset()
    amounts: tuple[tuple[str, Decimal], ...] = ()


Concerns = Mapping[str, Concern]
Teller = TypeVar("Teller", bound=Callable[[Collection[str], HttpRequest], Concerns])
_tellers: list[Callable[[Collection[str], HttpRequest], Concerns]] = []


def tells_concerns(function: Teller) -> Teller:
    """Register a function that tells what subjects concern."""
    _tellers.append(function)
    return function


def concerns_of(subjects: Collection[str], request: HttpRequest) -> Concerns:
    """What each of these subjects concerns, as far as an app knows it and this user may see it."""
    found: dict[str, Concern] = {}
    for teller in _tellers if subjects else ():
        try:
            found.update(teller(subjects, request))
        except Exception as error:  # of what stands in an app's own rows: the page is shown without it
            if not may_be_of_a_row(error):
                raise
            logger.warning("%s cannot tell whom jobs concern: %s", teller.__qualname__, type(error).__name__)
    return found


def is_anybody_asked() -> bool:
    """Whether an app tells anything."""
    return bool(_tellers)


@dataclass(slots=True)
class Sum:
    """The people and amounts of some subjects, each counted once."""

    people: set[Hashable] = field(default_factory=set)
    amounts: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, concerns: Iterable[Concern]) -> Sum:
        """The sum of these."""
        total = cls()
        for concern in concerns:
            total.people |= concern.people
            for currency, amount in concern.amounts:
                total.amounts[currency] = total.amounts.get(currency, Decimal(0)) + amount
        return total

    def in_words(self) -> str:
        """ "390 people, 18,240.00 EUR"; empty if nothing is known."""
        if not self.people and not self.amounts:
            return ""
        number = len(self.people)
        people = ngettext("%(number)s person", "%(number)s people", number) % {"number": grouped(number)}
        return ", ".join(
            [people, *(f"{grouped(amount)} {currency}" for currency, amount in sorted(self.amounts.items()))]
        )
