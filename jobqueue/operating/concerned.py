"""Whom many jobs concern, in words: exactly where the apps can have it added up, else at least so many."""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from typing import Final

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, OperationalError
from django.http import HttpRequest

from jobqueue.models import UNKNOWN_CAUSE, JobQuerySet
from jobqueue.models.failures import CauseGroup, subjects_by_cause
from jobqueue.operating.concerns import (
    MOST_SUBJECTS,
    Concerns,
    Groups,
    Sum,
    Total,
    concerns_of,
    in_words,
    is_anybody_asked,
    totals_of,
)
from jobqueue.operating.recent import Recent
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.long_reads import long_read

logger = logging.getLogger(__name__)
_CANCELED = "57014"
KEPT_SECONDS: Final = 60
_MOST_KEPT = 32


@dataclass(frozen=True, slots=True)
class Told:
    """Whom failures concern, by cause; None where that cannot be told."""

    totals: dict[str, Total] | None


_recent: Recent[Told] = Recent(KEPT_SECONDS, _MOST_KEPT)


def concerned(jobs: JobQuerySet, request: HttpRequest, number: int | None = None) -> str:
    """Whom all these jobs are about and what it is worth; "at least" where that is not known of all of them.

    Who has counted them gives their number, so that they are not counted once more.
    """
    if not is_anybody_asked():
        return ""
    by_cause, is_cut = _subjects(jobs)
    if is_cut:
        totals = _totals(Groups(jobs, is_by_cause=False), request)
        if totals is not None:
            return in_words(totals.get("", Total(0)).among(jobs.count() if number is None else number))
    subjects = set().union(*by_cause.values())
    total = _total_of(subjects, concerns_of(subjects, request))
    return in_words(replace(total, is_least=True) if is_cut else total)


def few_by_cause(jobs: JobQuerySet, request: HttpRequest) -> dict[str, Total]:
    """Whom the failures of each cause concern, of at most MOST_SUBJECTS jobs: their records are read."""
    if not is_anybody_asked():
        return {}
    by_cause = subjects_by_cause(jobs, MOST_SUBJECTS)
    known = concerns_of(set().union(*by_cause.values()), request)
    return {cause: _total_of(some, known) for cause, some in by_cause.items()}


def _total_of(subjects: Collection[str], known: Concerns) -> Total:
    """The sum of these; the least of it where one of them is not known, as that of jobs about nothing."""
    told = [known[subject] for subject in subjects if subject in known]
    return replace(Sum.of(told).total, is_least=len(told) < len(subjects))


def many_by_cause(jobs: JobQuerySet, groups: Collection[CauseGroup], request: HttpRequest) -> Told:
    """The same of any number of failures, which are those of `groups`: added up by the database.

    Whoever looks at the same failures within KEPT_SECONDS is told what was added up then.
    """
    told = kept_by_cause(jobs, groups, request)
    if told is None:
        totals = _totals(Groups(jobs, is_by_cause=True), request) if is_anybody_asked() else {}
        numbers = {group.cause: group.jobs for group in groups}
        named = {cause or UNKNOWN_CAUSE: total for cause, total in (totals or {}).items()}
        among = {cause: total.among(numbers.get(cause)) for cause, total in named.items()}
        told = Told(None if totals is None else among)
        _recent.keep(_key(jobs, groups, request), told)
    return told


def kept_by_cause(jobs: JobQuerySet, groups: Collection[CauseGroup], request: HttpRequest) -> Told | None:
    """What was added up of the same failures a moment ago, for the same user with the same rights."""
    return _recent.get(_key(jobs, groups, request))


def _key(jobs: JobQuerySet, groups: Collection[CauseGroup], request: HttpRequest) -> Hashable:
    """Numbers and times of each cause tell which failures these are: no other ones have the same."""
    user = request.user
    rights = None if user.is_superuser else frozenset(user.get_all_permissions())
    these = frozenset((one.cause, one.first, one.last, frozenset(one.by_processor.items())) for one in groups)
    return jobs.db, user.pk, rights, these


def _subjects(jobs: JobQuerySet) -> tuple[dict[str, set[str]], bool]:
    """What the jobs are about, by cause, and whether that may be not all."""
    by_cause = subjects_by_cause(jobs, MOST_SUBJECTS)
    return by_cause, sum(map(len, by_cause.values())) >= MOST_SUBJECTS


def _totals(groups: Groups, request: HttpRequest) -> dict[str, Total] | None:
    """None where it cannot be told: a number that is not right is worse than none."""
    try:
        with long_read(groups.using):
            return totals_of(groups, request)
    except EmptyResultSet:
        return {}
    except Exception as error:
        if not may_be_of_a_row(error) and not _took_too_long(error):
            raise
        logger.warning("whom jobs concern cannot be added up: %s", type(error).__name__)
        return None


def _took_too_long(error: Exception) -> bool:
    cause: DatabaseError | BaseException | None = error.__cause__
    return isinstance(error, OperationalError) and getattr(cause, "sqlstate", None) == _CANCELED
