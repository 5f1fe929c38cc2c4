"""What may be done to settlements and payments over HTTP: the moves of the admin, each at an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import django_request
from jobqueue.api.bodies import read_body
from jobqueue.api.problems import InvalidBody, Refused
from jobqueue.api.shapes import described
from jobqueue.operating import shown_text
from settlements.api.bodies import GivenReason, PartAndReason, key_of
from settlements.api.once import HEADER, INVALID_KEY, KEY_REUSED, REPLAYED, once
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.operating.moves import Answer, LeftAlone, Move, left_alone, move_one
from settlements.operating.rights import right

WRONG_STATE: Final = "wrong_state"
_CODES: Final = {InvalidAmount: "invalid_amount", InvalidRefund: "invalid_refund"}
Shown = Callable[[Any, Request], dict[str, Any]]


def once_for_a_key(what: str, status: int) -> list[OpenApiParameter]:
    """The headers of what is done once for a key, for the schema."""
    return [
        OpenApiParameter(
            HEADER,
            {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            OpenApiParameter.HEADER,
            required=True,
            description=f"New for each {what}. The same key and body are answered as before for 30 days.",
        ),
        OpenApiParameter(
            REPLAYED,
            {"type": "string", "enum": ["true"]},
            OpenApiParameter.HEADER,
            response=[status],
            description="It was done before; this is the answer that was given then.",
        ),
    ]


def needs_of(model: Any, moves: Mapping[str, Move]) -> dict[str, tuple[str, ...]]:
    """The permissions of these moves."""
    return {name: (right("view", model), right(move.permission, model)) for name, move in moves.items()}


def move_at(move: Move, model: Any, shown: Shown, form: Any, summary: str) -> Any:
    """The action of a move on one record, with a reason; it answers with the record as it is then."""

    def act(self: Any, request: Request, pk: str = "") -> Response:
        asked = read_body(GivenReason, request)
        return Response(shown(_moved(model, pk, move, asked, request), request))

    named = _named(act, move, f"{summary}; {move.name.replace('_', ' ')} of the admin.")
    return described(summary, form, body=GivenReason, codes={409: (WRONG_STATE,)})(named)


def part_at(move: Move, model: Any, shown: Shown, form: Any, summary: str, what: str) -> Any:
    """The same of a move that takes an amount, once for a key: a part may go back again and again."""

    def act(self: Any, request: Request, pk: str = "") -> Response:
        asked = read_body(PartAndReason, request)
        key_of(pk)
        return once(request, lambda: shown(_moved(model, pk, move, asked, request), request), status=200)

    named = _named(act, move, f"{summary}; without an amount all that is left of it.")
    codes = {
        400: (INVALID_KEY, "malformed"),
        409: (WRONG_STATE,),
        422: ("invalid_amount", "invalid_refund", KEY_REUSED),
    }
    parameters = once_for_a_key(what, 200)
    return described(summary, form, body=PartAndReason, codes=codes, parameters=parameters)(named)


def _named(act: Any, move: Move, doc: str) -> Any:
    act.__name__, act.__doc__ = move.name, doc
    return action(detail=True, methods=["post"], url_path=move.name.replace("_", "-"))(act)


def _moved(model: Any, pk: str, move: Move, asked: Mapping[str, Any], request: Request) -> Any:
    """The record as it is then; each refusal says what the admin says."""
    answer = Answer(request.user, asked["reason"], asked.get("amount"))
    try:
        record = move_one(django_request(request), model, key_of(pk), move, answer)
    except LeftAlone as trouble:
        text = shown_text(left_alone(move, model._meta, [str(trouble)]), request)
        raise Refused(text, WRONG_STATE) from None
    except (InvalidAmount, InvalidRefund) as error:
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        field = "amount" if move.takes_amount else "non_field_errors"
        raise InvalidBody({field: [ErrorDetail(text, code=_CODES[type(error)])]}) from None
    if record is None:
        raise Http404
    return record
