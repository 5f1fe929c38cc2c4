"""What pages have that are made here, not by Django: no form adds, edits or deletes anything."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from jobqueue.admin import live
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.offered_lookups import OfferedLookups
from jobqueue.admin.words import NOTHING


class OwnPage(FramedNotFound):
    """A page of our own, for who may see jobs; its template extends `admin/jobqueue/page.html`."""

    view_permission = "jobqueue.view_job"
    empty_value_display = NOTHING

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What stands here is part of the history."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this user may see the page."""
        return request.user.has_perm(self.view_permission)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OfferedLookups]:
        """Of a page that is a list: one that takes what it offers."""
        return OfferedLookups

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """The page, with what every page of the admin is drawn with; kept up to date where it has regions."""
        head = {
            **self.admin_site.each_context(request),
            "title": capfirst(self.opts.verbose_name_plural),
            "opts": self.opts,
            "media": self.media,
        }
        return live.answer(request, TemplateResponse(request, f"admin/jobqueue/{template}", head | context))


class OnePage(OwnPage):
    """Such a page that has no pages of single rows."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Back to the list, from what is in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if self.get_object(request, unquote(object_id)) is None:
            self.raise_not_found(unquote(object_id))
        return HttpResponseRedirect("../../")
