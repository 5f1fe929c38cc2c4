"""Records that a page only names lead where its reader may go: Django links them for everybody."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobqueue.admin import NOTHING
from settlements.admin.ways_to_people import letters_of

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = object


class ReadRecords(AnyAdmin):
    """On a page that is only read: a person leads to the letters, what may not be looked at to nothing."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The same fields under their headings."""
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        return [
            (title, {**options, "fields": [self._leading(each, request, obj) for each in options["fields"]]})
            for title, options in found
        ]

    def _leading(self, entry: Any, request: HttpRequest, record: Any) -> Any:
        if isinstance(entry, list | tuple):
            return [self._leading(each, request, record) for each in entry]
        model: type[models.Model] = self.model
        field = _foreign_key(model, entry)
        if field is None or self._may_open(field.related_model, request):
            return entry
        return _column(model, entry, self._way(field, record, request))

    def _may_open(self, model: type[models.Model], request: HttpRequest) -> bool:
        site = self.admin_site
        return site.is_registered(model) and site.get_model_admin(model).has_view_permission(request)

    def _way(self, field: Any, record: Any, request: HttpRequest) -> str:
        """Where the named record is shown in another way; empty if nowhere."""
        named = getattr(record, field.name)
        is_person = isinstance(named, get_user_model())
        return letters_of(named, request, self.admin_site) if is_person else ""


def _foreign_key(model: type[models.Model], entry: Any) -> Any:
    """The field of this name if it is one that names a record."""
    if not isinstance(entry, str):
        return None
    try:
        field = model._meta.get_field(entry)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, models.ForeignKey) else None


@lru_cache(maxsize=256)
def _column(model: type[models.Model], name: str, way: str) -> Callable[[Any], SafeString | str]:
    """Always the same one: Django compares the fields of forms with those that are only read."""
    field: Any = model._meta.get_field(name)

    @admin.display(description=field.verbose_name)
    def column(record: Any) -> SafeString | str:
        named = getattr(record, name)
        if named is None:
            return NOTHING
        return format_html('<a href="{}">{}</a>', way, named) if way else str(named)

    column.__name__ = name
    return column
