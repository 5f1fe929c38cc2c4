"""The forms of what the API answers with, common to its resources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from jobqueue.api.bodies import StrictQuery
from jobqueue.api.named_codes import all_once, codes_of_body, codes_of_query
from jobqueue.api.problems import INVALID_KEY, KEY_REUSED, MEDIA_TYPE, NOTHING_MATCHES
from jobqueue.api.schema import OperatorSchema
from jobqueue.api.told import CSRF_FAILED
from jobqueue.operating.words import carried
from jobqueue.payloads import DEEPEST

_REFUSALS = {
    400: "The query or the body cannot be read.",
    401: "Nobody is logged in, or the token is none.",
    403: "A permission is missing, or the token of the form (CSRF).",
    404: "There is no such thing.",
    405: "The address does not take this method.",
    406: "JSON is all that can be had.",
    409: "It does not go with how things are.",
    411: "The body came in parts, without a length, and this server does not tell where it ends.",
    413: "The body is too large.",
    415: "The body is no application/json.",
    422: "The body asks for what cannot be.",
    429: "Too many requests; Retry-After says when to go on.",
    503: "Redis or the database is away, or takes no changes; Retry-After says when to ask again.",
}
_CODES = {
    400: ("malformed", "invalid_query", "invalid_header"),
    401: ("not_authenticated",),
    403: ("permission_denied", CSRF_FAILED),
    404: ("not_found",),
    405: ("method_not_allowed",),
    406: ("not_acceptable",),
    411: ("length_required",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: ("invalid",),
    429: ("throttled",),
    503: ("unavailable",),
}
"""What `code` is, by status, whatever was asked for."""
_OF_ALL = (NOTHING_MATCHES, INVALID_KEY, KEY_REUSED)
"""Codes of 400 and 422 that are of the whole request; those of a key stand in `errors`, too."""
_BY_FIELD = (400, 422)
"""The statuses whose own codes stand in `errors`."""


class FieldProblem(serializers.Serializer[Any]):
    """What is wrong with one field or parameter."""

    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """Why a request was refused (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldProblem(many=True, required=False)  # type: ignore[assignment]


def described(
    summary: str,
    answers: Any,
    *,
    status: int = 200,
    query: Any = None,
    body: Any = None,
    parameters: list[Any] | None = None,
    others: dict[int, Any] | None = None,
    codes: Mapping[int, Sequence[str]] | None = None,
) -> Callable[[Any], Any]:
    """The entry of an action in the schema, with every refusal that there may be.

    `codes` names, by status, those that are of this action alone: of 400 and 422 those in `errors`, beside
    those that its query and its body themselves tell.
    """
    of_forms = {400: codes_of_query(query or StrictQuery), 422: codes_of_body(body) if body else []}
    of_this = {one: all_once((codes or {}).get(one, ()), of_forms.get(one, ())) for one in _REFUSALS}
    refusals = {
        (status_code, MEDIA_TYPE): OpenApiResponse(Problem, description=f"{text} {told}")
        for status_code, text in _REFUSALS.items()
        if (told := _named(status_code, of_this[status_code]))
    }
    extended = extend_schema(
        summary=summary,
        request=body,
        parameters=[*([query] if query else []), *(parameters or [])],
        responses={status: answers, **(others or {}), **refusals},
    )

    def describe(action: Any) -> Any:
        action.kwargs = {"schema": OperatorSchema, **getattr(action, "kwargs", {})}
        action.takes_query = query is not None
        return extended(action)

    return describe


def _named(status: int, codes: Sequence[str]) -> str:
    """What `code` may be; empty for a status that this action does not answer with."""
    of_all = [*_CODES.get(status, ()), *(one for one in codes if status not in _BY_FIELD or one in _OF_ALL)]
    by_field = [one for one in codes if status in _BY_FIELD and one != NOTHING_MATCHES]
    said = [f"`code` is {_one_of(of_all)}."] if of_all else []
    return " ".join([*said, *([f"In `errors` it may be {_one_of(by_field)}."] if by_field else [])])


def _one_of(codes: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(codes[:-1]), codes[-1])))


as_one = extend_schema_serializer(many=False)
"""For what a list answers with: it is no list itself."""


def page_of(
    kind: type[serializers.Serializer[Any]],
    name: str = "",
    **more: serializers.Field[Any, Any, Any, Any],
) -> Any:
    """The form of a page of these."""
    name = name or f"PageOf{kind.__name__}"
    fields = {
        "next": serializers.URLField(allow_null=True, help_text="The next page; null behind the last row."),
        "results": kind(many=True),
        **more,
    }
    form = type(name, (serializers.Serializer,), {**fields, "__doc__": f"A page: {kind.__doc__}"})
    return as_one(form)()


class Moment(serializers.DateTimeField):
    """A time with its zone, as the row has it."""

    def to_representation(self, value: datetime | None) -> Any:
        """ISO 8601; whatever year a row holds."""
        return value.isoformat().replace("+00:00", "Z") if value is not None else None


@extend_schema_field(OpenApiTypes.ANY)
class AnyJSON(serializers.JSONField):
    """Any value of JSON."""


def presentable(value: Any, depth: int = 0) -> Any:
    """A payload that JSON can carry, whatever stands in the row."""
    if isinstance(value, str):
        return carried(value)
    if isinstance(value, dict | list) and depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {carried(str(key)): presentable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [presentable(inner, depth + 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
