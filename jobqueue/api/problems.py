"""Refusals as problem documents (RFC 9457): what was wrong, what is allowed, and a code for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from jobqueue.api.told import seconds_of, told
from jobqueue.exceptions import (
    InvalidJob,
    JobQueueError,
    JobTransitionRefused,
    UniqueKeyHeld,
    WorkerOrderRefused,
)
from jobqueue.masking import mask_addresses
from jobqueue.operating import outages
from jobqueue.operating.language import in_english
from jobqueue.sql.troubles import Outage, outage_of

MEDIA_TYPE: Final = "application/problem+json"
NOTHING_MATCHES: Final = "nothing_matches"
INVALID_KEY: Final = "invalid_idempotency_key"
KEY_REUSED: Final = "idempotency_key_reused"
_LONGEST_NAME = 80
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_CODES: Final[dict[int, str]] = {
    400: "malformed",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "refused",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "throttled",
    500: "error",
    503: "unavailable",
}


class BadQuery(exceptions.ValidationError):
    """The query of the address cannot be read; the errors say which parameter, and what is allowed."""

    status_code = 400
    default_code = "invalid_query"
    summary = "The query of the address cannot be read."


class InvalidBody(exceptions.ValidationError):
    """The body can be read, and asks for what cannot be; the errors say which field, and what is allowed."""

    status_code = 422
    default_code = "invalid"
    summary = "Nothing was done: the body asks for what cannot be."


class BadHeader(exceptions.ValidationError):
    """A header is missing or cannot be taken; the errors say which, and what is allowed."""

    status_code = 400
    default_code = "invalid_header"
    summary = "Nothing was done: a header is missing, or cannot be taken."


class NothingMatches(exceptions.APIException):
    """An action on all that match, where nothing does."""

    status_code = 422
    default_code = NOTHING_MATCHES


class Refused(exceptions.APIException):
    """What was asked for does not go with how things are."""

    status_code = 409
    default_code = "refused"


class TooLarge(exceptions.APIException):
    """The body is larger than what is read."""

    status_code = 413
    default_code = "too_large"


class Unavailable(exceptions.APIException):
    """Redis or the database is away, or takes no changes."""

    status_code = 503
    default_code = "unavailable"
    wait = outages.RETRY_AFTER


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """The answer to an error of a view; None for one of ours, which Django logs and answers."""
    known = _known(error)
    if known is None:
        return None
    set_rollback()
    known = told(known, context)
    body = document(known.status_code, _code_of(known), _text_of(known), list(_errors_of(known)))
    return Response(body, status=known.status_code, headers=_headers_of(known), content_type=MEDIA_TYPE)


def document(
    status: int, code: str = "", detail: str = "", errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """A problem document; `errors` are of single fields, each with `field`, `code` and `detail`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or HTTPStatus(status).description,
        "code": code or _CODES.get(status, "refused"),
    }
    return body | ({"errors": errors} if errors else {})


def answer(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    """The same where no view of Django REST Framework answers."""
    return JsonResponse(document(status, detail=detail), status=status, content_type=MEDIA_TYPE)


def answer_to_outage(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """The same for an outage; None if the error is about something else."""
    outage = outage_of(error)
    if outage is None:
        return None
    response = answer(request, Unavailable.status_code, _told(outage))
    response["Retry-After"], response["Cache-Control"] = f"{outages.RETRY_AFTER}", "no-store"
    return response


def _known(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound(str(error) or None)
    if isinstance(error, ObjectDoesNotExist):
        return exceptions.NotFound("It is there no more: it was deleted, or ended, at this moment.")
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied(str(error) or None)
    if isinstance(error, RequestDataTooBig):
        return TooLarge("The body is larger than what is read.")
    if isinstance(error, BadRequest | SuspiciousOperation | UnreadablePostError):
        return exceptions.ParseError("The request cannot be read.")
    if isinstance(error, JobTransitionRefused | WorkerOrderRefused | UniqueKeyHeld):
        return Refused(_sentence(error), named_by(error))
    if isinstance(error, InvalidJob):
        return invalid("job", error)
    outage = outage_of(error)
    return Unavailable(_told(outage)) if outage is not None else None


def _told(outage: Outage) -> str:
    with in_english():
        return f"{outages.title(outage)}. {outages.consequence(outage)} {outages.what_became()}"


def named_by(error: JobQueueError) -> str:
    """The code of a refusal, by the name of its error: `not_delayed` for NotDelayed."""
    if type(error) in (JobTransitionRefused, WorkerOrderRefused):
        return Refused.default_code
    return _WORD.sub("_", type(error).__name__).lower()


def invalid(field: str, error: JobQueueError) -> InvalidBody:
    """The refusal of a body one field of which asks for what cannot be."""
    return InvalidBody({field: [exceptions.ErrorDetail(_sentence(error), named_by(error))]})


def _sentence(error: JobQueueError) -> str:
    """What an error says; a reason in it may hold an address, which not everybody may read."""
    text = mask_addresses(str(error))
    # What begins with a name, of a processor or a field, begins as that is written.
    begins_with_word = text.partition(" ")[0].isalpha()
    return f"{text[:1].upper() if begins_with_word else text[:1]}{text[1:].removesuffix('.')}."


def _code_of(error: exceptions.APIException) -> str:
    if isinstance(error, BadQuery | InvalidBody | BadHeader):
        return str(error.default_code)
    code = getattr(error.detail, "code", "") or _CODES.get(error.status_code, "")
    named = {"parse_error": "malformed", "authentication_failed": "not_authenticated"}
    return named.get(code, code)


def _text_of(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.ValidationError):
        fields = ", ".join(dict.fromkeys(one["field"] for one in _errors_of(error)))
        summary = getattr(error, "summary", "It was refused.")
        return f"{summary} See {fields}." if fields else summary
    return str(error.detail)


def _errors_of(error: exceptions.APIException) -> Iterator[dict[str, str]]:
    if isinstance(error, exceptions.ValidationError):
        yield from _flat(error.detail, "")


def _flat(detail: Any, field: str) -> Iterator[dict[str, str]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flat(inner, f"{field}.{name}" if field else str(name)[:_LONGEST_NAME])
    elif isinstance(detail, list | tuple):
        for inner in detail:
            yield from _flat(inner, field)
    else:
        code = str(getattr(detail, "code", "invalid"))
        yield {"field": "" if field == "non_field_errors" else field, "code": code, "detail": str(detail)}


def _headers_of(error: exceptions.APIException) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    wait = getattr(error, "wait", None)
    if wait:
        headers["Retry-After"] = f"{seconds_of(wait)}"
    return headers
