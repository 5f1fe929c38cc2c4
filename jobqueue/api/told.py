"""What Django REST Framework refuses by itself, in words that say what is allowed instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from rest_framework import exceptions

from jobqueue.operating.words import carried

CSRF_FAILED: Final = "csrf_failed"
_CSRF = "CSRF Failed"
_LONGEST_KEY = 80


def told(error: exceptions.APIException, context: Mapping[str, Any]) -> exceptions.APIException:
    """The error, with a text that says what is allowed where its own says only what is not."""
    for kind, tell in _TELLERS:
        if isinstance(error, kind) and (text := tell(error, context)):
            error.detail = exceptions.ErrorDetail(text, _code(error))
            break
    return error


def seconds_of(wait: float) -> int:
    """After how many whole seconds the time is over: never before it is."""
    return max(1, math.ceil(wait))


def _code(error: exceptions.APIException) -> str:
    return CSRF_FAILED if _is_csrf(error) else str(getattr(error.detail, "code", error.default_code))


def _is_csrf(error: exceptions.APIException) -> bool:
    return isinstance(error, exceptions.PermissionDenied) and str(error.detail).startswith(_CSRF)


def _nobody(error: Any, context: Mapping[str, Any]) -> str:
    scheme = getattr(error, "auth_header", None)
    return f"Nobody is logged in: send the header Authorization: {scheme} …, or log in." if scheme else ""


def _forged(error: Any, context: Mapping[str, Any]) -> str:
    if not _is_csrf(error):
        return ""
    return f"{error.detail} A session changes something with the header X-CSRFToken, a token without it."


def _nothing(error: Any, context: Mapping[str, Any]) -> str:
    """Which thing is not there, unless the error says it."""
    view = context.get("view")
    what = getattr(view, "what", "")
    keys = list(getattr(view, "kwargs", {}).values())
    if str(error.detail) != str(error.default_detail) or not what or not keys:
        return ""
    return f"There is no {what} {carried(str(keys[0])[:_LONGEST_KEY])}."


def _method(error: Any, context: Mapping[str, Any]) -> str:
    view, request = context.get("view"), context.get("request")
    if view is None or request is None:
        return ""
    allowed = ", ".join(view.allowed_methods)
    return f"There is no {carried(str(request.method)[:_LONGEST_KEY])} here; allowed: {allowed}."


def _media_type(error: Any, context: Mapping[str, Any]) -> str:
    return "A body is taken as application/json alone: send that as its Content-Type."


def _accepted(error: Any, context: Mapping[str, Any]) -> str:
    return "JSON is all that can be had: send Accept: application/json, or no such header."


def _throttled(error: Any, context: Mapping[str, Any]) -> str:
    wait = getattr(error, "wait", None)
    return f"Too many requests: ask again in {seconds_of(wait)} s." if wait else ""


_TELLERS: Final[tuple[tuple[type[exceptions.APIException], Callable[[Any, Mapping[str, Any]], str]], ...]] = (
    (exceptions.NotAuthenticated, _nobody),
    (exceptions.PermissionDenied, _forged),
    (exceptions.NotFound, _nothing),
    (exceptions.MethodNotAllowed, _method),
    (exceptions.UnsupportedMediaType, _media_type),
    (exceptions.NotAcceptable, _accepted),
    (exceptions.Throttled, _throttled),
)
