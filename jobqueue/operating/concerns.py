"""Whom failed jobs are about, and what it is worth: told by the apps that own the records.

`jobqueue` knows no people and no money. An app registers, in its `admin`, a function that is given subjects
of jobs ("app.model:pk") and the request, and answers for those that are its own, as far as this user may see
them:

    from jobqueue.admin import Concern, tells_concerns

    @tells_concerns
    def of_invoices(subjects, request):
        return {"shop.invoice:7": Concern(people=frozenset({17}), amounts=(("EUR", Decimal("84.50")),))}

The number counts people, which need not be those whom letters go to. `Concern(said=…)` takes a function that
says it more exactly, "12 payers and payees" for instance; `@tells_concerns(people=…)` takes the one for all
that its app tells. Where those who are counted are said in two ways, they are people.

A subject that no app answers for (none, one of an unknown model, a record that is gone or not for this user)
may concern others: of jobs with such a subject among them it is said that they are "at least" so many.

It is asked once for a page, with at most MOST_SUBJECTS subjects, and takes one query, however many there are.
Of more than that it can be told only by a second function, which has the database count:

    @sums_concerns(of_invoices)
    def sums_of_invoices(groups, request):
        return {"OSError": Total(people=390, amounts=(("EUR", Decimal("18240.00")),), jobs=412)}

`groups` has what the jobs are about in groups, of one cause each for instance, as a statement to join with
(`Groups.numbers`); the answer has a total for each group, each record and each person counted once in it.
`jobs` is the number of jobs that are about these records: where it is not given, or the group has more jobs,
people and amounts are "at least" so many. None says that it cannot be told so. It is asked inside
`jobqueue.sql.long_reads.long_read`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, TypeVar, overload

from django.db.models import CharField, Count, F, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext

from jobqueue.models import JobQuerySet
from jobqueue.operating.words import grouped
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

MOST_SUBJECTS = 5_000
PeopleInWords = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom one record is about, by their keys, and amounts: `(currency, amount)`.

    `said` says how a number of such people is told; None leaves that to the app's word for all.
    """

    people: frozenset[Hashable] = frozenset()
    amounts: tuple[tuple[str, Decimal], ...] = ()
    said: PeopleInWords | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """How many people some records are about, and their amounts: `(currency, amount)`.

    With `is_least` they may be more. `jobs` is how many jobs are about these records, None where nobody
    counted; `said` is as with `Concern`.
    """

    people: int
    amounts: tuple[tuple[str, Decimal], ...] = ()
    is_least: bool = False
    jobs: int | None = None
    said: PeopleInWords | None = None

    def among(self, jobs: int | None) -> Total:
        """The same of so many jobs: the least, unless all of them are known to be about these records."""
        is_all = self.jobs is not None and jobs is not None and self.jobs >= jobs
        return self if is_all else replace(self, is_least=True)


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
        return self._sql(self._pairs(label).distinct())

    def numbers(self, label: str, *others: str) -> tuple[str, tuple[Any, ...]]:
        """`(name, subject, jobs)` of one or more models: with how many jobs are about each record."""
        return self._sql(self._pairs(label, *others).annotate(jobs=Count("pk")))

    def _pairs(self, *labels: str) -> QuerySet[Any, Any]:
        name: Any = F("cause") if self.is_by_cause else Value("", output_field=CharField())
        of_these = reduce(or_, (Q(subject__startswith=f"{label}:") for label in labels))
        return self.jobs.order_by().filter(of_these).annotate(name=name).values_list("name", "subject")

    def _sql(self, rows: QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
        sql, parameters = rows.query.get_compiler(self.using).as_sql()
        return sql, tuple(parameters)


def people_in_words(number: int) -> str:
    """ "390 people"."""
    return ngettext("%(number)s person", "%(number)s people", number) % {"number": grouped(number)}


Concerns = Mapping[str, Concern]
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
        for name, answer in told.items():
            total = replace(answer, said=answer.said or _words.get(teller))
            found[name] = _together(found[name], total) if name in found else total
    return found


def _together(first: Total, second: Total) -> Total:
    """What two apps know of a group: the people of one may be those of the other."""
    amounts: dict[str, Decimal] = {}
    for currency, amount in (*first.amounts, *second.amounts):
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    is_sure = not first.people or not second.people
    return Total(
        people=max(first.people, second.people),
        amounts=tuple(amounts.items()),
        is_least=first.is_least or second.is_least or not is_sure,
        jobs=None if first.jobs is None or second.jobs is None else first.jobs + second.jobs,
        said=_one_word({total.said for total in (first, second) if total.people}),
    )


def _one_word(words: Collection[PeopleInWords | None]) -> PeopleInWords | None:
    """How people are said who are said so; those of two kinds are people."""
    return next(iter(words)) if len(words) == 1 else None


def concerns_of(subjects: Collection[str], request: HttpRequest) -> Concerns:
    """What each of these subjects concerns, as far as an app knows it and this user may see it."""
    found: dict[str, Concern] = {}
    asked = set(subjects) - {""}
    for teller in _tellers if asked else ():
        try:
            for subject, concern in teller(asked, request).items():
                found[subject] = concern if concern.said else replace(concern, said=_words.get(teller))
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
    words: set[PeopleInWords | None] = field(default_factory=set)

    @classmethod
    def of(cls, concerns: Iterable[Concern]) -> Sum:
        """The sum of these."""
        total = cls()
        for concern in concerns:
            total.people |= concern.people
            total.words |= {concern.said} if concern.people else set()
            for currency, amount in concern.amounts:
                total.amounts[currency] = total.amounts.get(currency, Decimal(0)) + amount
        return total

    @property
    def total(self) -> Total:
        """How many people, and the amounts."""
        return Total(len(self.people), tuple(self.amounts.items()), said=_one_word(self.words))

    def in_words(self) -> str:
        """ "390 people, 18,240.00 EUR"; empty if nothing is known."""
        return in_words(self.total)


def in_words(total: Total) -> str:
    """ "at least 390 people, 18,240.00 EUR"; empty if nothing is known."""
    if not total.people and not total.amounts:
        return ""
    parts = [(total.said or people_in_words)(total.people)]
    parts += [f"{grouped(amount)} {currency}" for currency, amount in sorted(total.amounts)]
    text = ", ".join(parts)
    return gettext("at least %(whom)s") % {"whom": text} if total.is_least else text
