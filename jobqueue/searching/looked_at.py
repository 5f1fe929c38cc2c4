"""What is known of the rows before a search looks into them, and among which rows it looks.

What no index answers is looked for among the newest rows of each table. Which these are, how many jobs
failed by what, which workers there were, and whether a job is about exactly a text is asked by one statement,
whatever the words are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from django.db import connections
from django.db.models import F, QuerySet

from jobqueue.models import Attempt, Job, JobQuerySet
from jobqueue.searching import conditions
from jobqueue.searching.causes import Failures, statement_of_failures
from jobqueue.searching.conditions import (
    about_any,
    behind_newest,
    newest,
    one_too_many,
    statement_of_worker_names,
)
from jobqueue.searching.words import Search
from jobqueue.sql.together import union_of
from jobqueue.sql.tolerant import as_text

_JOBS, _ATTEMPTS, _GIVEN, _TOO_MANY, _SUBJECT = "jobs", "attempts", "given", "too many", "subject:"
_CAUSE: Final = -1
_FAILED: Final = -2
_WORKER: Final = -3


@dataclass(frozen=True, slots=True)
class _Known:
    """What was asked for, by name: the number of a row, where there is one."""

    numbers: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    causes: list[str] = field(default_factory=list)
    worker_names: list[str] = field(default_factory=list)


class LookedAt:
    """The rows of one database among which a search looks, and whether it left older ones out."""

    def __init__(self, jobs: QuerySet[Any], search: Search, states: list[str]) -> None:
        self._using = jobs.db
        self._search = search
        # What was skipped is told by its reason alone: to find the newest of these all that is done is read.
        self._has_no_index = "skipped" in states
        self._errors = [] if "failed" in states else search.named("error")
        self._foreseen: dict[str, QuerySet[Any]] = {}
        self._given: QuerySet[Any] | None = None
        self.is_cut = False

    def foresee(self, rows: QuerySet[Any], *, has_index: bool) -> None:
        """These rows will be looked at: which are the newest of them is asked with all else.

        Of those that an index has, though not by their numbers, only whether they are too many.
        """
        if self._has_no_index:
            return
        self._given = rows
        self._foreseen = {_TOO_MANY: one_too_many(rows)} if has_index else {_GIVEN: behind_newest(rows)}

    def newest(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The newest of these rows; of those that no index has, those among the newest of all jobs."""
        if self._has_no_index:
            return self._newest(rows, _JOBS)
        if rows is self._given and _GIVEN in self._foreseen:
            return self._newest(rows, _GIVEN)
        if rows is self._given and _TOO_MANY not in self._known.numbers:
            return rows
        found, is_cut = newest(rows)
        self.is_cut |= is_cut
        return found

    def is_subject(self, text: str) -> bool:
        """Whether a job is about exactly this."""
        return _SUBJECT + text in self._known.numbers

    def failures(self, *, may_read: bool) -> Failures:
        """How many jobs are failed, and by what."""
        return Failures(self._known.failed, self._known.causes, may_read)

    @property
    def all_jobs(self) -> JobQuerySet:
        """All jobs."""
        return Job.objects.using(self._using)

    @cached_property
    def newest_jobs(self) -> QuerySet[Any]:
        """The newest of all jobs."""
        return self._newest(self.all_jobs, _JOBS)

    @cached_property
    def failed(self) -> QuerySet[Any]:
        """The failed jobs, the newest ones where there are very many."""
        failed = self.all_jobs.failed()
        return failed if self._known.failed <= conditions.NEWEST else self.newest(failed)

    @cached_property
    def attempts(self) -> QuerySet[Attempt]:
        """The newest failed attempts."""
        return self._newest(Attempt.objects.using(self._using), _ATTEMPTS).order_by()

    @property
    def worker_names(self) -> list[str]:
        """The names of the workers that made these."""
        return self._known.worker_names

    def _newest(self, rows: QuerySet[Any], name: str) -> QuerySet[Any]:
        bound = self._known.numbers.get(name)
        self.is_cut |= bound is not None
        return rows if bound is None else rows.filter(pk__gt=bound)

    @cached_property
    def _known(self) -> _Known:
        texts = []
        if self._search.named("error", ""):
            texts.append(statement_of_failures(self._using, cause=_CAUSE, number=_FAILED))
        if self._search.named("worker"):
            texts.append(statement_of_worker_names(self._using, name=_WORKER))
        return _ask(self._asked(), texts, self._using)

    def _asked(self) -> dict[str, QuerySet[Any]]:
        """What the words of this search must know, each as the number of one row."""
        workers = self._search.named("worker")
        asked = dict(self._foreseen)
        if self._has_no_index or any(not word.negated for word in [*workers, *self._errors]):
            asked[_JOBS] = behind_newest(self.all_jobs)
        if workers or self._errors:
            asked[_ATTEMPTS] = behind_newest(Attempt.objects.using(self._using))
        for word in self._search.named("about", ""):
            if ":" in word.value:
                about = self.all_jobs.filter(about_any([word.value])).order_by()
                asked[_SUBJECT + word.value] = about.values(asked_number=F("pk"))[:1]
        return asked


def _ask(asked: dict[str, QuerySet[Any]], texts: list[str], using: str) -> _Known:
    """All of it, by one statement; by none where nothing is asked."""
    names = list(asked)
    columns = "CAST(asked.asked_number AS bigint), CAST(NULL AS text)"
    statement, parameters = union_of(dict(enumerate(asked.values())), columns)
    statement = " UNION ALL ".join(filter(None, (statement, *texts)))
    if not statement:
        return _Known()
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    return _Known(
        {names[place]: number for place, number, _value in rows if place >= 0},
        sum(number for place, number, _value in rows if place == _FAILED),
        [as_text(value) for place, _number, value in rows if place == _CAUSE],
        [as_text(value) for place, _number, value in rows if place == _WORKER],
    )
