"""Requests with an Idempotency-Key: done once, and answered alike whenever they come again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from django.db import IntegrityError, router, transaction
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.problems import BadHeader
from settlements.models import KeptAnswer
from settlements.models.kept_answers import LONGEST_KEY, forget_old_answers

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
INVALID_KEY: Final = "invalid_idempotency_key"
KEY_REUSED: Final = "idempotency_key_reused"


class InvalidKey(BadHeader):
    """There is no key, or none that is one."""

    default_code = INVALID_KEY


class KeyReused(BadHeader):
    """The key was given with another body before."""

    status_code = 422
    default_code = KEY_REUSED
    summary = "Nothing was done: this key was given with another body before."


def once(request: Request, act: Callable[[], dict[str, Any]], *, status: int = 201) -> Response:
    """The answer of `act`, which runs in one transaction with the row that keeps it.

    The same key with the same body is answered as before; with another it is refused (422). Who asks twice at
    once waits for the first: of its transaction nothing is there, or all.
    """
    key = _key_of(request)
    using = router.db_for_write(KeptAnswer)
    row = KeptAnswer(user_id=request.user.pk, key=key, fingerprint=_fingerprint(request), status=status)
    try:
        with transaction.atomic(using=using):
            row.save(using=using, force_insert=True)
            row.body = act()
            row.save(using=using, update_fields=["body"])
    except IntegrityError:
        kept = KeptAnswer.objects.filter(user=request.user.pk, key=key).first()
        if kept is None:
            raise
        return _again(kept, row)
    forget_old_answers(using)
    return Response(row.body, status=row.status)


def _again(kept: KeptAnswer, asked: KeptAnswer) -> Response:
    if kept.fingerprint != asked.fingerprint:
        text = "This key was used for another request: take a new key for what is new."
        raise KeyReused({HEADER: [ErrorDetail(text, KEY_REUSED)]})
    return Response(kept.body, status=kept.status, headers={REPLAYED: "true"})


def _key_of(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        text = (
            f"Give the header {HEADER}, new for each payment: 1 to {LONGEST_KEY} printable ASCII characters."
        )
        raise InvalidKey({HEADER: [ErrorDetail(text, INVALID_KEY)]})
    return key


def _fingerprint(request: Request) -> str:
    body = json.dumps([request.path, request.data], sort_keys=True)
    return hashlib.sha256(body.encode("utf-8", "backslashreplace")).hexdigest()
