"""Filters of the list of jobs that links lead to: shown while they are used, so that they can be undone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.bounded_search import tell_unreadable
from jobqueue.admin.bulk_left_out import jobs_left_out_by
from jobqueue.admin.findings import listed_finding, names_of_listed
from jobqueue.models import JobQuerySet
from jobqueue.models.audit import jobs_of

_LONGEST_NUMBER = 18


class _NumberedFilter(admin.SimpleListFilter):
    """Jobs that something with a number names."""

    def has_output(self) -> bool:
        """While it is used."""
        return bool(self.value())

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one that is asked for."""
        asked = request.GET.get(self.parameter_name or "", "")
        return [(asked, f"#{asked}")] if asked else []

    @property
    def number(self) -> int:
        """What it names; 0 names nothing."""
        text = self.value() or ""
        is_one = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
        return int(text) if is_one else 0

    def told_number(self, request: HttpRequest) -> int:
        """The same; of what is no number that is said."""
        if not self.number:
            tell_unreadable(
                request, str(self.parameter_name), self.value() or "", gettext("a number, such as 12")
            )
        return self.number


class AuditFilter(_NumberedFilter):
    """The jobs that one action of an operator changed."""

    title = _("changed by an operator's action")
    parameter_name = "audit"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of them that are still there."""
        return jobs_of(self.told_number(request), queryset) if self.value() else queryset


class LeftOutFilter(_NumberedFilter):
    """The jobs that a bulk action left out."""

    title = _("left out by a bulk action")
    parameter_name = "left_out"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of them that are still there."""
        return jobs_left_out_by(self.told_number(request), queryset) if self.value() else queryset


class FindingFilter(admin.SimpleListFilter):
    """The jobs that a finding of the overview counts."""

    title = _("found by the overview")
    parameter_name = "finding"

    def has_output(self) -> bool:
        """While it is used."""
        return bool(self.value())

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The one that is asked for."""
        asked = request.GET.get(self.parameter_name, "")
        found = listed_finding(asked)
        return [(asked, found.label if found else asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those that it counts now; one that nobody knows has none, and that is said."""
        if not self.value():
            return queryset
        assert isinstance(queryset, JobQuerySet)
        found = listed_finding(self.value() or "")
        if found is None:
            tell_unreadable(request, self.parameter_name, self.value() or "", ", ".join(names_of_listed()))
            return queryset.none()
        return found.of(queryset)
