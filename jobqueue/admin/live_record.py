"""The page of one record, kept up to date: what stands around its form, which is left to who types in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from jobqueue.admin import live

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Base = ModelAdmin[Any]
else:
    _Base = object


class LiveRecordMixin(_Base):
    """For a ModelAdmin, as the first of its classes: the page of a record is asked for its regions.

    These are the panel of its jobs, what the app's own template marks as one, and its fields for whoever may
    not change them.
    """

    change_form_template = "admin/jobqueue/live_record.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of the record, or its regions alone."""
        return live.answer(request, super().change_view(request, object_id, form_url, extra_context))
