"""What may be done to settlements and payments over HTTP: the moves of the admin, each at an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import Http404
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import django_request
from jobqueue.api.bodies import read_body
from jobqueue.api.once import once, once_for_a_key
from jobqueue.api.problems import INVALID_KEY, KEY_REUSED, InvalidBody, Refused
from jobqueue.api.shapes import described
from jobqueue.operating import carried_text
from settlements.api.bodies import (
    GivenReason,
    PaymentFailure,
    PaymentMove,
    PaymentPart,
    SettlementMove,
    key_of,
)
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import KeptAnswer, Payment
from settlements.operating.moves import (
    CHANGED_MEANWHILE,
    Answer,
    LeftAlone,
    Move,
    left_alone,
    move_one,
)
from settlements.operating.rights import right

_CODES: Final = {InvalidAmount: "invalid_amount", InvalidRefund: "invalid_refund"}
Shown = Callable[[Any, Request], dict[str, Any]]


def needs_of(model: Any, moves: Mapping[str, Move]) -> dict[str, tuple[str, ...]]:
    """The permissions of these moves."""
    return {name: (right("view", model), right(move.permission, model)) for name, move in moves.items()}


def move_at(move: Move, model: Any, shown: Shown, form: Any, summary: str, *, once_for: str = "") -> Any:
    """The action of a move on one record, with a reason; it answers with the record as it is then.

    What could have a second effect the second time is done `once_for` a key: another part of the money goes
    back, another letter goes out.
    """
    body = _body_of(move, model)

    def act(self: Any, request: Request, pk: str = "") -> Response:
        asked = read_body(body, request)
        if not once_for:
            return Response(shown(_moved(model, pk, move, asked, request), request))
        key_of(pk)
        return once(
            request, KeptAnswer, lambda: shown(_moved(model, pk, move, asked, request), request), status=200
        )

    told = "without an amount all that is left of it" if move.takes_amount else _in_the_admin(move)
    codes: dict[int, tuple[str, ...]] = {409: (*move.codes, CHANGED_MEANWHILE)}
    if once_for:
        refused = ("invalid_amount", "invalid_refund") if move.takes_amount else ("invalid",)
        codes |= {400: (INVALID_KEY,), 422: (*refused, KEY_REUSED)}
    parameters = once_for_a_key(once_for, 200) if once_for else []
    named = _named(act, move, f"{summary}; {told}.")
    return described(summary, form, body=body, codes=codes, parameters=parameters)(named)


def _body_of(move: Move, model: Any) -> type[GivenReason]:
    if model is not Payment:
        return SettlementMove
    if move.takes_amount:
        return PaymentPart
    return PaymentFailure if move.tells_payer else PaymentMove


def _in_the_admin(move: Move) -> str:
    return f"{move.name.replace('_', ' ')} of the admin"


def _named(act: Any, move: Move, doc: str) -> Any:
    act.__name__, act.__doc__ = move.name, doc
    return action(detail=True, methods=["post"], url_path=move.name.replace("_", "-"))(act)


def _moved(model: Any, pk: str, move: Move, asked: Mapping[str, Any], request: Request) -> Any:
    """The record as it is then; each refusal says what the admin says."""
    answer = Answer(request.user, **asked)
    try:
        record = move_one(django_request(request), model, key_of(pk), move, answer)
    except LeftAlone as trouble:
        text = carried_text(left_alone(move, model._meta, [str(trouble)]), request)
        raise Refused(text, trouble.code) from None
    except (InvalidAmount, InvalidRefund) as error:
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        field = "amount" if move.takes_amount else "non_field_errors"
        raise InvalidBody({field: [ErrorDetail(text, code=_CODES[type(error)])]}) from None
    if record is None:
        raise Http404
    return record
