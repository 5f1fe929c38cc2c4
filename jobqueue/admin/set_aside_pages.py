"""The list of what was set aside, with the button that puts it back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, ngettext

from jobqueue.admin.own_pages import OnePage
from jobqueue.admin.permissions import JobPermissions
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.set_aside import gather, put_back
from jobqueue.models import SetAsideJob
from jobqueue.operating.rights import Right, demand, may, permissions_of

_CHOSEN = "chosen"
_MOST_AT_ONCE = 1_000


@admin.register(SetAsideJob)
class SetAsideAdmin(OnePage, JobPermissions):
    """What nobody can work on: jobs, messages and keys, why and since when. Nothing of it is deleted."""

    verbs = ("retry",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; with POST what was chosen is put back."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._put_back(request)
        context = {
            "aside": gather(request, self.admin_site),
            "may_put_back": may(request, Right.PUT_BACK_SET_ASIDE),
            "name": _CHOSEN,
            **(extra_context or {}),
        }
        return self.page(request, "set_aside.html", context)

    def _put_back(self, request: HttpRequest) -> HttpResponse:
        demand(request, *permissions_of(Right.PUT_BACK_SET_ASIDE))
        reason = kept_reason(request)
        if reason is None:
            return HttpResponseRedirect(request.get_full_path())
        chosen = request.POST.getlist(_CHOSEN)[:_MOST_AT_ONCE]
        done = 0
        for choice in chosen:
            if why_not := put_back(choice, request, reason):
                text = gettext("%(name)s was not put back: %(why)s")
                self.message_user(request, text % {"name": choice[:80], "why": why_not}, messages.WARNING)
            else:
                done += 1
        if done:
            text = ngettext("%(number)s put back.", "%(number)s put back.", done)
            self.message_user(request, text % {"number": done}, messages.SUCCESS)
        elif not chosen:
            self.message_user(request, gettext("Nothing was chosen."), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())
