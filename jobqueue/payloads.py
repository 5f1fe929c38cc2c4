"""Payloads: what survives JSON and the database unchanged, and how large it may be."""

from __future__ import annotations

import json
import math
from typing import Any

from jobqueue.conf import get_settings
from jobqueue.exceptions import InvalidPayload, PayloadTooLarge

# From here on Python writes floats with an exponent, and PostgreSQL stores them as integers, digit by digit.
_FIRST_WITH_EXPONENT = 1e16
# json.dumps would make a new encoder for each payload.
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def check_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """`payload` if it survives JSON and the database unchanged, else InvalidPayload or PayloadTooLarge."""
    limit = get_settings().payload_limit
    try:
        _refuse_what_json_loses(payload, "payload")
        text = _encode(payload)
    except RecursionError:
        raise InvalidPayload("the payload is nested too deeply, or contains itself") from None
    except ValueError as error:
        if isinstance(error, InvalidPayload):
            raise
        raise InvalidPayload(f"the payload is no valid JSON: {error}") from None
    size = len(text.encode())
    if size > limit:
        raise PayloadTooLarge(
            f"the payload has {size} bytes, allowed are {limit}; pass ids and look the rest up"
        )
    return payload


def _refuse_what_json_loses(value: Any, path: str) -> None:
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, float):
        if _FIRST_WITH_EXPONENT <= abs(value) < math.inf:
            raise InvalidPayload(
                f"{path} is {value!r}, which PostgreSQL gives back as another number; pass an integer or text"
            )
        return None
    if isinstance(value, str):
        return _refuse_text(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_what_json_loses(item, f"{path}[{index}]")
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidPayload(f"{path} has the key {key!r}; keys must be text")
            _refuse_text(key)
            _refuse_what_json_loses(item, f"{path}.{key}")
        return None
    raise InvalidPayload(
        f"{path} is {type(value).__module__}.{type(value).__qualname__}, which JSON does not carry; "
        "pass primary keys, text, numbers, true, false, null, lists and dicts of these"
    )


def _refuse_text(text: str) -> None:
    if "\x00" in text:
        raise InvalidPayload("the payload has a NUL character, which the database cannot store")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidPayload("the payload has a lone surrogate, which is no valid text") from None
