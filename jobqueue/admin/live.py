"""Regions of pages that are kept up to date: an answer that has not changed is not sent again."""

from __future__ import annotations

import hashlib
import re

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.response import TemplateResponse

_ASKED = "X-Jobqueue-Live"
# What differs from answer to answer though the page is the same.
_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]*"')


def answer(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The page, with an ETag for the script that refreshes it; 304 where that has the same already."""
    if _ASKED not in request.headers or response.status_code != 200:
        return response
    if isinstance(response, TemplateResponse) and not response.is_rendered:
        response = response.render()
    tag = f'"{hashlib.sha256(_TOKEN.sub(b"", response.content)).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified(headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response
