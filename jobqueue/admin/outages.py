"""What the admin answers while a database or Redis cannot be used: which one, and what that means."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from jobqueue.operating import outages
from jobqueue.sql.troubles import outage_of

logger = logging.getLogger(__name__)
_PAGE = "admin/jobqueue/outage.html"


class OutagesMiddleware(MiddlewareMixin):
    """For MIDDLEWARE, at its end: the pages of the whole admin answer 503 while a store cannot be used."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page, if that is what went wrong on a page of the admin."""
        match = request.resolver_match
        is_admin = match is not None and "admin" in match.app_names
        return outage_page(request, exception) if is_admin else None


def outage_page(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """The page that says which store cannot be used; None if the error is about something else.

    It asks no database and no session: they may be what is away.
    """
    outage = outage_of(error)
    if outage is None:
        return None
    logger.warning("%s: %s: %s", request.path, type(error).__name__, error)
    context = {
        "title": outages.title(outage),
        "consequence": outages.consequence(outage),
        "what_became": "" if request.method in ("GET", "HEAD") else outages.what_became(),
        "again": request.get_full_path() if request.method in ("GET", "HEAD") else "",
    }
    headers = {"Retry-After": f"{outages.RETRY_AFTER}", "Cache-Control": "no-store"}
    return HttpResponse(render_to_string(_PAGE, context), status=503, headers=headers)
