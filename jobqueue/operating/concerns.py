"""Whom failed jobs are about, and what it is worth: told by the apps that own the records.

`jobqueue` knows no people and no money. An app registers, in its `admin`, a function that is given subjects
of jobs ("app.model:pk") and the request, and answers for those that are its own, as far as this user may see
them:

    from jobqueue.admin import Concern, tells_concerns

    @tells_concerns
    def of_invoices(subjects, request):
        return {"shop.invoice:7": Concern(people=frozenset({17}), amounts=(("EUR", Decimal("84.50")),))}

`@tells_concerns(people=…)` takes a function that says whom the number counts, "12 payers and payees" for
instance; without it they are people. They need not be those whom letters go to.

It is asked once for a page, with at most MOST_SUBJECTS subjects, and takes one query, however many there are.
Of more than that it can be told only by a second function, which has the database count:

    @sums_concerns(of_invoices)
    def sums_of_invoices(groups, request):
        return {"OSError": Total(people=390, amounts=(("EUR", Decimal("18240.00")),))}

`groups` has what the jobs are about in groups, of one cause each for instance, as a statement to join with
(`Groups.statement`); the answer has a total for each group, each record and each person counted once in it.
None says that it cannot be told so. It is asked inside `jobqueue.sql.long_reads.long_read`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar, overload

from django.db.models import CharField, F, Value
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext

from jobqueue.models import JobQuerySet
from jobqueue.operating.words import grouped
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

MOST_SUBJECTS = 5_000


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom one record is about, by their keys, and amounts: `(currency, amount)`."""

    people: frozenset[Hashable] = frozenset()
    amounts: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    """How many people some records are about, and their amounts: `(currency, amount)`.

    With `is_least` they may be more.
    """

    people: int
    amounts: tuple[tuple[str, Decimal], ...] = ()
    is_least: bool = False


@dataclass(frozen=True, slots=True)
class Groups:
    """What jobs are about, in groups: those of a cause each, or all in one whose name is empty."""

    jobs: JobQuerySet
    is_by_cause: bool

    @property
    def using(self) -> str:
        """The database that has the jobs."""
        return self.jobs.db

    def statement(self, label: str) -> tuple[str, tuple[Any, ...]]:
        """SQL that gives `(name, subject)` of each record of this model in each group once; its parameters.

        Raises EmptyResultSet where nobody needs to ask.
        """
        name: Any = F("cause") if self.is_by_cause else Value("", output_field=CharField())
        rows = self.jobs.order_by().filter(subject__startswith=f"{label}:").annotate(name=name)
        pairs = rows.values_list("name", "subject").distinct()
        sql, parameters = pairs.query.get_compiler(self.using).as_sql()
        return sql, tuple(parameters)


def people_in_words(number: int) -> str:
    """ "390 people"."""
    return ngettext("%(number)s person", "%(number)s people", number) % {"number": grouped(number)}


Concerns = Mapping[str, Concern]
PeopleInWords = Callable[[int], str]
Teller = TypeVar("Teller", bound=Callable[[Collection[str], HttpRequest], Concerns])
Summer = TypeVar("Summer", bound=Callable[[Groups, HttpRequest], "Mapping[str, Total] | None"])
_tellers: list[Callable[[Collection[str], HttpRequest], Concerns]] = []
_summers: dict[Any, Callable[[Groups, HttpRequest], Mapping[str, Total] | None]] = {}
_words: dict[Any, PeopleInWords] = {}


@overload
def tells_concerns(function: Teller) -> Teller: ...


@overload
def tells_concerns(*, people: PeopleInWords) -> Callable[[Teller], Teller]: ...


def tells_concerns(function: Any = None, *, people: PeopleInWords = people_in_words) -> Any:
    """Register a function that tells what subjects concern, and how a number of its people is said."""

    def register(function: Teller) -> Teller:
        _tellers.append(function)
        _words[function] = people
        return function

    return register if function is None else register(function)


def sums_concerns(teller: Callable[[Collection[str], HttpRequest], Concerns]) -> Callable[[Summer], Summer]:
    """Register a function that tells the same as `teller` of any number of jobs, added up."""

    def register(function: Summer) -> Summer:
        _summers[teller] = function
        return function

    return register


def totals_of(groups: Groups, request: HttpRequest) -> dict[str, Total] | None:
    """The total of each group; None where an app knows only single records, or cannot tell."""
    if not can_add_up():
        return None
    found: dict[str, Total] = {}
    for teller in _tellers:
        told = _summers[teller](groups, request)
        if told is None:
            return None
        for name, total in told.items():
            found[name] = _together(found[name], total) if name in found else total
    return found


def _together(first: Total, second: Total) -> Total:
    """What two apps know of a group: the people of one may be those of the other."""
    amounts: dict[str, Decimal] = {}
    for currency, amount in (*first.amounts, *second.amounts):
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    is_sure = not first.people or not second.people
    is_least = first.is_least or second.is_least or not is_sure
    return Total(max(first.people, second.people), tuple(amounts.items()), is_least)


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


def can_add_up() -> bool:
    """Whether of any number of jobs it can be told whom they concern."""
    return bool(_tellers) and all(teller in _summers for teller in _tellers)


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

    @property
    def total(self) -> Total:
        """How many people, and the amounts."""
        return Total(len(self.people), tuple(self.amounts.items()))

    def in_words(self) -> str:
        """ "390 people, 18,240.00 EUR"; empty if nothing is known."""
        return in_words(self.total)


def in_words(total: Total) -> str:
    """ "at least 390 people, 18,240.00 EUR"; empty if nothing is known."""
    if not total.people and not total.amounts:
        return ""
    words = {_words.get(teller, people_in_words) for teller in _tellers}
    said = words.pop() if len(words) == 1 else people_in_words  # those of several apps are people
    parts = [said(total.people)]
    parts += [f"{grouped(amount)} {currency}" for currency, amount in sorted(total.amounts)]
    text = ", ".join(parts)
    return gettext("at least %(whom)s") % {"whom": text} if total.is_least else text
