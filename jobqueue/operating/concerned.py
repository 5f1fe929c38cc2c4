"""Whom many jobs concern, in words: exactly where the apps can have it added up, else at least so many."""

from __future__ import annotations

import logging

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, OperationalError
from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.models import UNKNOWN_CAUSE, JobQuerySet
from jobqueue.models.failures import subjects_by_cause
from jobqueue.operating.concerns import (
    MOST_SUBJECTS,
    Groups,
    Sum,
    Total,
    concerns_of,
    in_words,
    is_anybody_asked,
    totals_of,
)
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.long_reads import long_read

logger = logging.getLogger(__name__)
_CANCELED = "57014"


def concerned(jobs: JobQuerySet, request: HttpRequest) -> str:
    """Whom all these jobs are about and what it is worth; "at least" where that cannot be added up."""
    if not is_anybody_asked():
        return ""
    by_cause, is_cut = _subjects(jobs)
    if is_cut:
        totals = _totals(Groups(jobs, is_by_cause=False), request)
        if totals is not None:
            return in_words(totals.get("", Total(0)))
    text = Sum.of(concerns_of(set().union(*by_cause.values()), request).values()).in_words()
    return gettext("at least %(whom)s") % {"whom": text} if text and is_cut else text


def concerned_by_cause(jobs: JobQuerySet, request: HttpRequest, *, are_few: bool) -> dict[str, str]:
    """The same for the failures of each cause; of more than a few only what can be added up.

    Single records are read of `are_few`, at most MOST_SUBJECTS jobs.
    """
    if not is_anybody_asked():
        return {}
    if are_few:
        by_cause = subjects_by_cause(jobs, MOST_SUBJECTS)
        known = concerns_of(set().union(*by_cause.values()), request)
        return {
            cause: Sum.of(known[subject] for subject in some if subject in known).in_words()
            for cause, some in by_cause.items()
        }
    totals = _totals(Groups(jobs, is_by_cause=True), request)
    return {cause or UNKNOWN_CAUSE: in_words(total) for cause, total in (totals or {}).items()}


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
