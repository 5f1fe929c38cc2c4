"""Filters of the lists of jobs. None asks the table for its distinct values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.failures import UNRECORDED, error_groups, newest_failures, with_last_error
from jobqueue.models import Job, JobQuerySet
from jobqueue.registry import all_processors


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
        return [(name, name) for name in _and_chosen(names, self.value())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs of that processor."""
        return queryset.filter(processor=self.value()) if self.value() else queryset


# Waiting and delayed are told apart as the counts do it.
STATES: dict[str, Callable[[JobQuerySet], JobQuerySet]] = {
    "waiting": lambda jobs: jobs.waiting().filter(Q(published_at__isnull=False) | Q(run_at__lte=Now())),
    "delayed": lambda jobs: jobs.delayed().filter(published_at__isnull=True),
    "active": JobQuerySet.active,
    "stuck": JobQuerySet.stuck,
    "failed": JobQuerySet.failed,
    "completed": lambda jobs: jobs.filter(state=Job.State.COMPLETED),
    "skipped": JobQuerySet.skipped,
    "cancelled": lambda jobs: jobs.filter(state=Job.State.CANCELLED),
}


class StateFilter(_ChosenFilter):
    """Jobs in one state, in the words of the pages."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every state word."""
        return [(word, word) for word in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs in that state; one that does not exist has none."""
        if self.value() is None:
            return queryset
        assert isinstance(queryset, JobQuerySet)
        narrow = STATES.get(self.value() or "")
        return narrow(queryset) if narrow else queryset.none()


_AGES = {
    "hour": (_("Last hour"), timedelta(hours=1)),
    "day": (_("Last 24 hours"), timedelta(days=1)),
    "week": (_("Last 7 days"), timedelta(days=7)),
    "month": (_("Last 30 days"), timedelta(days=30)),
}


class AgeFilter(_ChosenFilter):
    """Jobs by when they were created, by the database's clock."""

    title = _("age")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The ages that operators ask for."""
        return [*((key, label) for key, (label, _length) in _AGES.items()), ("older", _("Older"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The jobs of that age."""
        if self.value() == "older":
            return queryset.filter(created_at__lt=Now() - _AGES["month"][1])
        if self.value() in _AGES:
            return queryset.filter(created_at__gte=Now() - _AGES[self.value() or ""][1])
        return queryset


class ErrorFilter(_ChosenFilter):
    """Failed jobs by the error of their last attempt."""

    title = _("error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The errors there are, with how many jobs ended by each."""
        groups = {group.error: group.jobs for group in error_groups(request)}
        known = _and_chosen(list(groups), self.value())
        return [(error, f"{error} ({groups.get(error, 0)})") for error in known]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the newest failures that ended by that error: as many as its group counts."""
        if not self.value():
            return queryset
        error = None if self.value() == UNRECORDED else self.value()
        jobs = with_last_error(queryset.filter(pk__in=newest_failures()))
        return jobs.filter(last_error=error) if error else jobs.filter(last_error__isnull=True)


def _and_chosen(names: list[str], chosen: str | None) -> list[str]:
    return names if not chosen or chosen in names else [*names, chosen]
