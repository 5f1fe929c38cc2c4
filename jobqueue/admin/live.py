"""Pages that are kept up to date: whoever asks for their regions gets these alone, and once.

A page joins by two lines. Its view ends with `return live.answer(request, response)`; its template has
`{% live_bar %}` once, and `{% region "its-id" %} … {% endregion %}` around what changes.
What is paused stands above all regions, and in every answer.
"""

from __future__ import annotations

import hashlib
import re

from django.contrib.admin.views.main import PAGE_VAR
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.response import TemplateResponse
from django.utils.cache import patch_vary_headers

from jobqueue.admin import on_every_page

SECONDS = 4
"""So often a page is looked at again, if it says nothing else."""
ASKED = "X-Jobqueue-Live"
"""Asks for the regions alone; an answer that has it too is one, and no page for who is logged out."""
REGIONS = "_jobqueue_regions"
"""Where a request that asks for the regions alone collects them."""
_BARE = "admin/jobqueue/regions.html"
# What differs from answer to answer though the page is the same; what a time says follows from the moment
# that it is of, and the script counts on.
_VOLATILE = re.compile(
    rb'name="(?:csrfmiddlewaretoken|shown_at)" value="[^"]*"|(?<=>)[^<]*(?=(?:</small>)?</time>)'
    rb'|data-still>.*?datetime="([^"]{16}).*?</time>'
)


def answer(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The page; for the script that keeps it up to date its regions, or 304 where it has the same already."""
    is_drawn_later = isinstance(response, TemplateResponse) and not response.is_rendered
    if request.method != "GET" or response.status_code != 200 or not is_drawn_later:
        return response
    assert isinstance(response, TemplateResponse)
    context = response.context_data = response.context_data or {}
    context.setdefault("seconds", SECONDS)
    if not _stays_in_place(request, context.get("cl")):
        context["seconds"] = 0
    if "cl" in context:  # Django draws the search with nothing but the list
        vars(context["cl"])["live"] = {"request": request, "seconds": context["seconds"]}
    patch_vary_headers(response, [ASKED])
    return _regions(request, response) if ASKED in request.headers else response


def _stays_in_place(request: HttpRequest, changes: object) -> bool:
    """Whether the same address shows the same place of a list: not where pages have numbers."""
    if getattr(changes, "is_popup", False):
        return False
    return not request.GET.get(PAGE_VAR, "").isdecimal() or request.GET[PAGE_VAR] in ("0", "1")


def _kept(found: re.Match[bytes]) -> bytes:
    """Of what differs nothing, but of what is marked as the present moment its minute."""
    return found[1] or b""


def _regions(request: HttpRequest, response: TemplateResponse) -> HttpResponse:
    found: list[str] = []
    setattr(request, REGIONS, found)
    context = response.context_data or {}
    # Without head and menu, and without the messages: they are for whoever opens the next page.
    context |= {"jobqueue_base": _BARE, "messages": ()}
    response.context_data = context
    response.render()
    banner = on_every_page.banner(request).encode()
    response.content = banner + ("".join(found).encode() if found else response.content)
    tag = f'"{hashlib.sha256(_VOLATILE.sub(_kept, response.content)).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:
        return HttpResponseNotModified(headers={"ETag": tag, ASKED: "1"})
    response.headers["ETag"], response.headers[ASKED] = tag, "1"
    return response
