"""What Django answers itself where no view does: under /api/ problem documents, elsewhere its pages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views import defaults

from jobqueue.admin import outage_page
from jobqueue.api.problems import answer, answer_to_outage

_API: Final = "/api/"
_DETAILS: Final = {
    400: "The request cannot be read, or its header Host names none of the hosts of this site.",
    403: "That is not allowed to who asks.",
    404: "There is nothing at this address.",
    500: "Something went wrong here; the log of the site has it. What was asked for may have been done.",
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What cannot be read."""
    return _answer(request, 400, lambda: defaults.bad_request(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What the user may not."""
    return _answer(request, 403, lambda: defaults.permission_denied(request, exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What is not there; an app of the admin that shows the user nothing is no such thing."""
    missing = _missing(request)
    if missing:
        return permission_denied(request, PermissionDenied(missing))
    return _answer(request, 404, lambda: defaults.page_not_found(request, exception))


def _missing(request: HttpRequest) -> str:
    """What it takes to see an app of the admin of which the user may see nothing; empty elsewhere."""
    match = request.resolver_match
    if match is None or match.view_name != "admin:app_list":
        return ""
    label = str(match.kwargs["app_label"])
    if request.user.has_module_perms(label):
        return ""
    return _("That takes a permission to view something of %(app)s: %(names)s.") % {
        "app": apps.get_app_config(label).verbose_name,
        "names": f"{label}.view_…",
    }


def nowhere(request: HttpRequest, **_: Any) -> HttpResponse:
    """An address at which nothing is."""
    raise Http404


def server_error(request: HttpRequest, *_: Any) -> HttpResponse:
    """What went wrong here, and the log has it; or which store cannot be used now."""
    tell = answer_to_outage if request.path_info.startswith(_API) else outage_page
    # Django calls this while it handles the error, and hands over nothing of it.
    told = tell(request, sys.exc_info()[1])
    if told is not None:
        return told
    return _answer(request, 500, lambda: defaults.server_error(request))


def _answer(request: HttpRequest, status: int, page: Callable[[], HttpResponse]) -> HttpResponse:
    return answer(request, status, _DETAILS[status]) if request.path_info.startswith(_API) else page()
