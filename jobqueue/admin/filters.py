"""Filters of the lists of jobs. None asks the table for its distinct values."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.bounded_search import refuse, tell_once, tell_unreadable
from jobqueue.admin.failures import all_by_cause, of_error
from jobqueue.admin.state_tabs import NO_FILTER
from jobqueue.admin.words import breakable, state_label, time_tag
from jobqueue.models import UNKNOWN_CAUSE, Job, JobQuerySet
from jobqueue.operating.failing_times import AGE, AGES, FROM, OLDER, TO, failing_time
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors
from jobqueue.searching import ENDED, RETRIED, STATES, Unreadable, Word, parse, retried_between
from jobqueue.sql.clock import about_now

STOPPED = "running"
"""What an address says of jobs that were stopped while they ran."""
_MOST_CAUSES = 15
_ENDS_WITH_INDEX = ("failed", "cancelled")
"""Of the states of jobs that are over those whose rows an index has by when that was."""
_ENDED_FROM, _ENDED_TO = "ended_from", "ended_to"
_NEWEST = 200_000
"""Of the others so many jobs are looked at: all of a million took a second where few had ended then."""


class _ChosenFilter(admin.SimpleListFilter):
    """A filter whose choices are known without looking at the table."""

    def has_output(self) -> bool:
        """Show it even with a single choice: a filter that hides cannot be undone."""
        return True


class QueueFilter(_ChosenFilter):
    """Jobs of one of the configured queues."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The configured queues, and the one that is asked for."""
        return [(name, name) for name in _and_chosen(list(django_settings.RQ_QUEUES), self.value())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs of that queue."""
        return queryset.filter(queue=self.value()) if self.value() else queryset


class ProcessorFilter(_ChosenFilter):
    """Jobs of one of the registered processors."""

    title = _("processor")
    parameter_name = "processor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The registered processors, and the one that is asked for."""
        names = [processor.name for processor in all_processors()]
        return [(name, breakable(name)) for name in _and_chosen(names, self.value())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs of that processor."""
        return queryset.filter(processor=self.value()) if self.value() else queryset


class StateFilter(_ChosenFilter):
    """Jobs in one state, in the words of the pages; the tabs above the list show its choices."""

    template = NO_FILTER
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every state word."""
        return [(word, state_label(word)) for word in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs in that state; one that does not exist has none, and that is said."""
        if self.value() is None:
            return queryset
        assert isinstance(queryset, JobQuerySet)
        if self.value() == RETRIED and _asks_for_a_time(request):
            return queryset  # who narrows to that time asks for the attempts that ended then
        narrow = STATES.get(self.value() or "")
        if narrow is None:
            tell_unreadable(request, self.parameter_name, self.value() or "", ", ".join(STATES))
            return queryset.none()
        return narrow(queryset)


class AgeFilter(_ChosenFilter):
    """Jobs by when they were created, those that are over by when they ended; by the database's clock.

    Retried ones are those of which an attempt ended then.
    """

    title = _("age")
    parameter_name = AGE

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in (FROM, TO):
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]
        self._states = _states_of(request, getattr(model_admin, "only_state", ""))
        self._is_by_end = bool(self._states.intersection(ENDED))
        if self._is_by_end:
            self.title = _("time of end")
        if RETRIED in self._states:
            self.title = _("time of retry")

    def expected_parameters(self) -> list[str | None]:
        """The words of an address that it understands."""
        return [AGE, FROM, TO]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The ages that operators ask for."""
        return [*((key, label) for key, (label, _length) in AGES.items()), (OLDER, _("Older"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs of that age; none, and why, for an age that cannot be read."""
        time = failing_time(self.used_parameters, queryset.db)
        if time.problem:
            refuse(request, gettext("Nothing was looked for: %(problem)s.") % {"problem": time.problem})
            return queryset.none()
        if RETRIED in self._states and (time.begin or time.end):
            return queryset.filter(retried_between(time.begin, time.end))
        field = "finished_at" if self._is_by_end else "created_at"
        if time.begin is not None:
            queryset = self._bounded(request, queryset).filter(**{f"{field}__gte": time.begin})
        if time.end is not None:
            queryset = queryset.filter(**{f"{field}__lt": time.end})
            if not self._has_index:
                # What ended by then was created by then, and that has an index.
                queryset = queryset.filter(created_at__lt=time.end)
        return queryset

    @property
    def _has_index(self) -> bool:
        """Whether an index has these rows by that time."""
        return not self._is_by_end or not self._states.isdisjoint(_ENDS_WITH_INDEX)

    def _bounded(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Where no index has them the newest are looked at, by their numbers; then that is said."""
        if self._has_index:
            return queryset
        jobs = Job.objects.using(queryset.db)
        last = (jobs.aggregate(highest=Max("pk"))["highest"] or 0) - _NEWEST
        if not jobs.filter(pk__lte=last).exists():
            return queryset
        text = gettext("What no index answers was looked for among the newest %(rows)s rows only.")
        tell_once(request, text % {"rows": grouped(_NEWEST)})
        return queryset.filter(pk__gt=last)


def _states_of(request: HttpRequest, only: str) -> set[str]:
    """The state words that the list and its search are narrowed to."""
    words = _searched(request, "state")
    return {only, request.GET.get("state", ""), *(word.value for word in words if not word.negated)}


def _searched(request: HttpRequest, *names: str) -> list[Word]:
    """The words of these names in the search of the list."""
    search = parse(request.GET.get(SEARCH_VAR, ""))
    return [] if isinstance(search, Unreadable) else search.named(*names)


def _asks_for_a_time(request: HttpRequest) -> bool:
    in_address = any(map(request.GET.get, (AGE, FROM, TO, _ENDED_FROM, _ENDED_TO)))
    return in_address or bool(_searched(request, "since", "until"))


class EndedFilter(admin.SimpleListFilter):
    """Jobs by when they ended, or were retried, from one time to another: where bars of charts lead to."""

    title = _("time of end")
    parameter_name = _ENDED_FROM

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        if _ENDED_TO in params:
            self.used_parameters[_ENDED_TO] = params.pop(_ENDED_TO)[-1]
        self._is_of_retries = RETRIED in _states_of(request, getattr(model_admin, "only_state", ""))
        if self._is_of_retries:
            self.title = _("time of retry")

    def expected_parameters(self) -> list[str | None]:
        """The words of an address that it understands."""
        return [_ENDED_FROM, _ENDED_TO]

    def has_output(self) -> bool:
        """Shown while it is used, so that it can be undone."""
        return bool(self.used_parameters)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The time that is asked for."""
        begin = request.GET.get(_ENDED_FROM, "")
        asked = {FROM: begin, TO: request.GET.get(_ENDED_TO, "")}
        time, now = failing_time(asked, Job.objects.db), about_now()
        if time.problem:
            return [(begin, f"{begin} – {asked[TO]}")] if begin else []
        return (
            [(begin, format_html("{} – {}", time_tag(time.begin, now), time_tag(time.end, now)))]
            if begin
            else []
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs that ended then; none, and why, for a time that cannot be read."""
        asked = {
            FROM: self.used_parameters.get(_ENDED_FROM, ""),
            TO: self.used_parameters.get(_ENDED_TO, ""),
        }
        time = failing_time(asked, queryset.db)
        if time.problem:
            refuse(request, gettext("Nothing was looked for: %(problem)s.") % {"problem": time.problem})
            return queryset.none()
        if self._is_of_retries and (time.begin or time.end):
            return queryset.filter(retried_between(time.begin, time.end))
        if time.begin is not None:
            queryset = queryset.filter(finished_at__gte=time.begin)
        if time.end is not None:
            # What ended by then was created by then, and that has an index.
            queryset = queryset.filter(finished_at__lt=time.end, created_at__lt=time.end)
        return queryset


class StoppedFilter(admin.SimpleListFilter):
    """Jobs that were stopped while they ran, and none that was cancelled while it waited."""

    title = _("stopped")
    parameter_name = "stopped"

    def has_output(self) -> bool:
        """Shown while it is used, so that it can be undone."""
        return bool(self.value())

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The one choice."""
        return [(STOPPED, _("While they ran"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs whose stop was asked for, and that ended by it; none for another word."""
        if self.value() is None:
            return queryset
        if self.value() != STOPPED:
            tell_unreadable(request, self.parameter_name, self.value() or "", STOPPED)
            return queryset.none()
        return queryset.filter(state=Job.State.CANCELLED, stop_asked_at__isnull=False)


class CauseFilter(_ChosenFilter):
    """Failed jobs of one cause."""

    title = _("cause")
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The most frequent causes, with how many jobs failed by each, and the one that is asked for."""
        found = all_by_cause(request)
        groups = {group.cause: group.jobs for group in found.groups} if found else {}
        known = _and_chosen(list(groups)[:_MOST_CAUSES], self.value())
        return [
            (cause, f"{cause} ({grouped(groups[cause])})" if cause in groups else cause) for cause in known
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The failures of that cause, all of them."""
        cause = self.value()
        return queryset.filter(cause="" if cause == UNKNOWN_CAUSE else cause) if cause else queryset


class ErrorFilter(admin.SimpleListFilter):
    """Failed jobs by the class of their last error: for addresses older than causes."""

    title = _("error")
    parameter_name = "error"

    def has_output(self) -> bool:
        """Shown while it is used, so that it can be undone."""
        return bool(self.value())

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one that is asked for."""
        asked = request.GET.get(self.parameter_name, "")
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The failures of that class."""
        error = self.value()
        return of_error(queryset, error) if error else queryset


def _and_chosen(names: list[str], chosen: str | None) -> list[str]:
    return names if not chosen or chosen in names else [*names, chosen]
