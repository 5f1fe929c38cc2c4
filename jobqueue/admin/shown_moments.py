"""Moments of a model as all pages show them, where Django leaves out the zone and how long ago they were."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobqueue.admin.words import time_tag
from jobqueue.sql.clock import about_now

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = object


class ShownMoments(AnyAdmin):
    """Lists and fields that are only read show each `DateTimeField` by `time_tag`; forms stay forms."""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns."""
        return [_shown(self.model, name) for name in super().get_list_display(request)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """What is only read."""
        return [_shown(self.model, name) for name in super().get_readonly_fields(request, obj)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The same fields under their headings."""
        found = super().get_fieldsets(request, obj)
        read = {_name_of(name) for name in self.get_readonly_fields(request, obj)}
        if obj is not None and not self.has_change_permission(request, obj):
            read |= {_name_of(name) for name in flatten_fieldsets(found)}
        return [
            (title, {**options, "fields": [self._as_read(each, read) for each in options["fields"]]})
            for title, options in found
        ]

    def _as_read(self, entry: Any, read: set[str]) -> Any:
        if isinstance(entry, list | tuple):
            return [self._as_read(each, read) for each in entry]
        return _shown(self.model, entry) if _name_of(entry) in read else entry


def _name_of(entry: Any) -> str:
    return str(getattr(entry, "__name__", entry))


def _shown(model: type[models.Model], entry: Any) -> Any:
    """The column itself, or of a moment one that shows it."""
    if not isinstance(entry, str):
        return entry
    try:
        field = model._meta.get_field(entry)
    except FieldDoesNotExist:
        return entry
    return _column(model, entry) if isinstance(field, models.DateTimeField) else entry


@lru_cache(maxsize=256)
def _column(model: type[models.Model], name: str) -> Callable[[Any], SafeString | str]:
    """Always the same one of a field: Django compares the fields of forms with those that are only read."""
    field: Any = model._meta.get_field(name)

    @admin.display(description=field.verbose_name, ordering=name)
    def column(record: Any) -> SafeString | str:
        return time_tag(getattr(record, name), about_now())

    column.__name__ = name
    return column
