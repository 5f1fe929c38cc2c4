"""Payloads: what survives JSON and the database unchanged, and how large it may be."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from jobqueue.conf import get_settings
from jobqueue.exceptions import InvalidPayload, PayloadTooLarge
from jobqueue.values import shown

# From here on Python writes floats with an exponent, and PostgreSQL stores them as integers, digit by digit.
_FIRST_WITH_EXPONENT = 1e16
_CARRIED_AS_THEY_ARE = frozenset({int, bool, type(None)})
_TOO_MANY_DIGITS = "integer string conversion"
DEEPEST = 64
"""Levels of lists and dicts, the payload's own counted: what lies deeper no page could show."""
# json.dumps would make a new encoder for each payload.
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def check_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """`payload` if it survives JSON and the database unchanged, else InvalidPayload or PayloadTooLarge."""
    limit = get_settings().payload_limit
    if not isinstance(payload, dict):
        raise InvalidPayload(f"the payload must be a dict, not {shown(payload)}")
    _refuse_what_json_loses(payload, None, "payload", 1)
    try:
        text = _encode(payload)
    except ValueError as error:
        raise InvalidPayload(f"the payload is no valid JSON: {error}") from None
    size = len(text.encode())
    if size > limit:
        raise PayloadTooLarge(
            f"the payload has {size} bytes, allowed are {limit}; pass ids and look the rest up"
        )
    return payload


def trouble_with_json(error: ValueError | RecursionError) -> str:
    """Why Python reads no value out of a text, without what it advises programmers to do."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if _TOO_MANY_DIGITS in str(error):
        return f"a number in it has more than {sys.get_int_max_str_digits()} digits"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is 0x{error.object[error.start]:02x}, which belongs to no character"
    return str(error)[:200]


# Where a value stands: what holds it, and its key or index in there. Made into text for an error only.
_Place = tuple["_Place | None", str | int]


def _refuse_what_json_loses(value: Any, holder: _Place | None, name: str | int, depth: int) -> None:
    if value is None or isinstance(value, bool | int):
        return
    if isinstance(value, str):
        _refuse_text(value)
    elif isinstance(value, float):
        if _FIRST_WITH_EXPONENT <= abs(value) < math.inf:
            raise InvalidPayload(
                f"{_path((holder, name))} is {value!r}, which PostgreSQL gives back as another number; "
                "pass an integer or text"
            )
    elif isinstance(value, list | dict):
        _refuse_inside(value, (holder, name), depth)
    else:
        raise InvalidPayload(
            f"{_path((holder, name))} is {type(value).__module__}.{type(value).__qualname__}, "
            "which JSON does not carry; "
            "pass primary keys, text, numbers, true, false, null, lists and dicts of these"
        )


def _refuse_inside(value: list[Any] | dict[Any, Any], place: _Place, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidPayload(
            "the payload is nested too deeply, or contains itself; "
            f"allowed are {DEEPEST} levels of lists and dicts"
        )
    if isinstance(value, list):
        for index, item in enumerate(value):
            if type(item) not in _CARRIED_AS_THEY_ARE:
                _refuse_what_json_loses(item, place, index, depth + 1)
        return
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidPayload(f"{_path(place)} has the key {shown(key)}; keys must be text")
        _refuse_text(key)
        if type(item) is str:
            _refuse_text(item)
        elif type(item) not in _CARRIED_AS_THEY_ARE:
            _refuse_what_json_loses(item, place, key, depth + 1)


def _path(place: _Place) -> str:
    """Where a value stands, as `payload.orders[3].id`; cut if it is long."""
    holder, name = place
    if holder is None:
        return str(name)
    return f"{_path(holder)}[{name}]" if isinstance(name, int) else f"{_path(holder)}.{name:.40}"


def _refuse_text(text: str) -> None:
    if "\x00" in text:
        raise InvalidPayload("the payload has a NUL character, which the database cannot store")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidPayload("the payload has a lone surrogate, which is no valid text") from None
