"""Bodies that come without a length, in parts (`Transfer-Encoding: chunked`): Django takes them for empty.

What was asked for would be done without what was said of it: a pause without its end, a copy at once in place
of later. So the whole of such a body is read, where the server says that it ends (`wsgi.input_terminated`, as
gunicorn does; ASGI has read it by then), and else refused.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any, Final

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from rest_framework import exceptions

_PART = 64 * 1024
_MOST_LEFT: Final = 8 * 1024 * 1024
"""Bytes of a body that is refused as too large which are read all the same."""


class LengthRequired(exceptions.APIException):
    """The body says no length, and this server does not tell where it ends."""

    status_code = 411
    default_code = "length_required"
    default_detail = "Send the body with its Content-Length: this server does not take it in parts."


def give_length(request: HttpRequest, most: int) -> None:
    """Let a body that came in parts be read as any other: up to `most` bytes and one more.

    The rest is dropped. Raises LengthRequired where nobody knows its end.
    """
    if not request.headers.get("Transfer-Encoding"):
        return
    body = _body_of(request)
    raw = body.read(most + 1)
    if len(raw) > most:
        drop_rest(body)
    begun: Any = request
    begun._stream, begun._read_started = BytesIO(raw), False
    request.META["CONTENT_LENGTH"] = str(len(raw))


def drop_rest(body: IO[bytes]) -> None:
    """Read what is left of a body that is too large: else it is taken for the next request."""
    left = _MOST_LEFT
    while left > 0 and (part := body.read(_PART)):
        left -= len(part)


def _body_of(request: Any) -> IO[bytes]:
    if not isinstance(request, WSGIRequest):
        stream: IO[bytes] = request._stream
        return stream
    if not request.environ.get("wsgi.input_terminated"):
        raise LengthRequired
    body: IO[bytes] = request.environ["wsgi.input"]
    return body
