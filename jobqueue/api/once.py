"""Requests with an Idempotency-Key: done once, and answered alike whenever they come again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from django.db import IntegrityError, router
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.problems import INVALID_KEY, KEY_REUSED, BadHeader
from jobqueue.models import AnyKeptAnswer
from jobqueue.models.kept_answers import KEPT_FOR, LONGEST_KEY
from jobqueue.sql.writing import writing

HEADER: Final = "Idempotency-Key"
PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"
"""What a key is, beside its length: printable ASCII that neither begins nor ends with a space."""
REPLAYED: Final = "Idempotency-Replayed"
Shown = Callable[[Any], dict[str, Any]]


class InvalidKey(BadHeader):
    """There is no key, or none that is one."""

    default_code = INVALID_KEY


class KeyReused(BadHeader):
    """The key was given with another body before."""

    status_code = 422
    default_code = KEY_REUSED
    summary = "Nothing was done: this key was given with another body before."


def once_for_a_key(what: str, status: int) -> list[OpenApiParameter]:
    """The headers of what is done once for a key, for the schema."""
    kept = f"The same key and body are answered as before for {KEPT_FOR.days} days."
    return [
        OpenApiParameter(
            HEADER,
            {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": PATTERN},
            OpenApiParameter.HEADER,
            required=True,
            description=f"New for each {what}. {kept}",
        ),
        OpenApiParameter(
            REPLAYED,
            {"type": "string", "enum": ["true"]},
            OpenApiParameter.HEADER,
            response=[status],
            description="It was done before; this is the answer that was given then.",
        ),
    ]


def once(
    request: Request,
    model: type[AnyKeptAnswer],
    act: Callable[[], Any],
    *,
    status: int = 201,
    shown: Shown = lambda kept: dict(kept),
) -> Response:
    """The answer of `act`, which runs in one transaction with the row of the model that keeps it.

    The same key with the same body is answered as before; with another it is refused (422). Who asks twice at
    once waits for the first: of its transaction nothing is there, or all. Where what `act` returns is no
    answer itself, `shown` makes one of it, each time.
    """
    key = _key_of(request)
    using = router.db_for_write(model)
    options: Any = model._meta
    user = options.get_field("user")  # a key, or a user
    asked_for = _fingerprints(request)[0]
    row = model(key=key, fingerprint=asked_for, status=status, **{user.attname: request.user.pk})
    try:
        with writing(using):
            row.save(using=using, force_insert=True)
            row.body = act()
            row.save(using=using, update_fields=["body"])
    except IntegrityError:
        kept = model.objects.filter(user=request.user.pk, key=key).first()
        if kept is None:
            raise
        return _again(kept, request, shown)
    model.forget_old(using)
    return Response(shown(row.body), status=row.status)


def _again(kept: AnyKeptAnswer, request: Request, shown: Shown) -> Response:
    if kept.fingerprint not in _fingerprints(request):
        text = "This key was used for another request: take a new key for what is new."
        raise KeyReused({HEADER: [ErrorDetail(text, KEY_REUSED)]})
    return Response(shown(kept.body), status=kept.status, headers={REPLAYED: "true"})


def _key_of(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        text = (
            f"Give the header {HEADER}, new for each thing that is to be done once: 1 to {LONGEST_KEY} "
            "printable ASCII characters, without a space at either end."
        )
        raise InvalidKey({HEADER: [ErrorDetail(text, INVALID_KEY)]})
    return key


def _fingerprints(request: Request) -> list[str]:
    """What the request is known by: with and without its last slash it is the same address.

    Kept is the first; older web processes kept the other one: they take the address as it is asked for.
    """
    address = request.path.rstrip("/")
    return [_hash([address, request.data]), _hash([f"{address}/", request.data])]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
