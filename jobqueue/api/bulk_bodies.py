"""What is said to begin an action on many jobs: which of them, how fast, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobqueue.api.bodies import (
    CalendarMoment,
    Choice,
    Reason,
    Strict,
    StrictQuery,
    Text,
    Whole,
    optional_reason,
)
from jobqueue.models import Job
from jobqueue.models.bulk import PACE
from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.operating import bulk_plans
from jobqueue.operating.failing_times import AGES, OLDER, YEARS
from jobqueue.operating.verbs import CALLED
from jobqueue.searching import LONGEST_SEARCH
from jobqueue.searching.times import ALLOWED_TIMES, moment_at
from jobqueue.sql.clock import database_now

VERBS: Final = CALLED
OF_FAILURES_ALONE: Final = ("cause", "age", "since", "until")
"""What narrows failed jobs, and no others."""
NARROWING: Final = ("search", "queue", "processor", *OF_FAILURES_ALONE)
"""What says which jobs are meant; without one of these all are, and that takes its number."""
_WORDS = {"since": "from", "until": "to"}
_AGES = [*AGES, OLDER]
_AGE = "Failed within that time: quarter is 15 minutes, month 30 days; older is before these."
_SINCE = "Failed at this time or later; with its zone."
_UNTIL = "Failed before this time; with its zone."
_TIMES = f"As in a search: {ALLOWED_TIMES}, without a zone in that of the site."
_SEARCH = "Words as `/api/jobs/` takes them, in place of a filter: `state:delayed queue:email`."


def rate() -> Whole:
    """At most how many jobs a second: a field of every body that begins a bulk action."""
    return Whole(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=bulk_plans.MOST_PER_SECOND,
        help_text=f"At most so many jobs a second; {PACE} without it.",
    )


class FailingMoment(CalendarMoment):
    """A time at which jobs can have failed."""

    default_error_messages = {"year": f"The year must lie between {YEARS[0]} and {YEARS[-1]}."}

    def to_internal_value(self, value: Any) -> datetime:
        """The time."""
        found = super().to_internal_value(value)
        if found.year not in YEARS:
            self.fail("year")
        return found


@extend_schema_field(OpenApiTypes.STR)
class SearchedMoment(serializers.Field[Any, Any, Any, Any]):
    """A time at which jobs can have failed, in the words of the search: so long ago, a day, or a moment."""

    default_error_messages = {
        "no_time": f"It is no time between the years {YEARS[0]} and {YEARS[-1]}: write {ALLOWED_TIMES}."
    }

    def to_internal_value(self, data: Any) -> datetime:
        """The time; what is so long ago is told from the clock of the database."""
        moment = moment_at(str(data), database_now(Job.objects.db))
        if moment is None:
            self.fail("no_time")
        return moment


class CausesQuery(StrictQuery):
    """Which failed jobs: those that failed in a time, of a queue, of a processor."""

    age = Choice(_AGES, required=False, help_text=_AGE)
    since = SearchedMoment(required=False, help_text=f"Failed at this time or later. {_TIMES}")
    until = SearchedMoment(required=False, help_text=f"Failed before this time. {_TIMES}")
    queue = serializers.CharField(required=False, max_length=100)
    processor = serializers.CharField(required=False, max_length=100)


class OfCauseQuery(CausesQuery):
    """Which failed jobs of one cause."""

    cause = serializers.CharField(max_length=LONGEST_CAUSE)


class PlanQuery(CausesQuery):
    """What an action would do."""

    verb = Choice(list(VERBS))
    cause = serializers.CharField(required=False, max_length=LONGEST_CAUSE)
    search = serializers.CharField(required=False, max_length=LONGEST_SEARCH, help_text=_SEARCH)


class _Filter(Strict):
    age = Choice(_AGES, required=False, help_text=_AGE)
    since = FailingMoment(required=False, help_text=_SINCE)
    until = FailingMoment(required=False, help_text=_UNTIL)
    queue = Text(required=False, max_length=100)
    processor = Text(required=False, max_length=100)
    reason = optional_reason("Stands in the history and in the audit.", bulk_plans.LONGEST_REASON)
    per_second = rate()
    confirm = Whole(
        required=False,
        min_value=0,
        help_text=(
            "The number of jobs: if others are meant by now, nothing is begun. An action on more than 1,000 "
            "takes it, and one on all because nothing narrows it."
        ),
    )


class CauseAction(_Filter):
    """An action on all failed jobs of one cause."""

    cause = Text(max_length=LONGEST_CAUSE)


class BulkStart(_Filter):
    """An action on all jobs that a filter or a search means; retry and discard take failed ones."""

    verb = Choice(list(VERBS))
    cause = Text(required=False, max_length=LONGEST_CAUSE)
    search = Text(required=False, max_length=LONGEST_SEARCH, help_text=_SEARCH)


class CauseName(Reason):
    """A cause, and why it is muted or not any more."""

    cause = Text(max_length=LONGEST_CAUSE)


def words_of(asked: Mapping[str, Any]) -> dict[str, str]:
    """The words by which pages ask for failed jobs."""
    words = {
        _WORDS.get(name, name): value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in asked.items()
    }
    return {name: words[name] for name in bulk_plans.WORDS if words.get(name)}
