"""Which codes the single errors of a refusal may have: told by the form of what is read, not beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rest_framework import serializers

from jobqueue.api.bodies import NO_OBJECT, OF_FORMS, Strict, StrictQuery

_UNLESS_TRUE: Final = {"null": "allow_null", "blank": "allow_blank", "empty": "allow_empty"}
"""Codes of what a field allows by these."""
_LIMITS: Final = (
    "max_length",
    "min_length",
    "max_value",
    "min_value",
    "max_digits",
    "max_decimal_places",
    "max_whole_digits",
)
"""Codes of limits, which are called as the limit is."""


def codes_of_query(form: type[StrictQuery]) -> list[str]:
    """Those of an address: a text that is given is never null."""
    found = [code for code in _codes_of(form) if code != "null"]
    return [*OF_FORMS[StrictQuery.what], *dict.fromkeys(found)]


def codes_of_body(form: type[Strict]) -> list[str]:
    """Those of a body."""
    return [NO_OBJECT, *OF_FORMS[Strict.what], *dict.fromkeys(_codes_of(form))]


def all_once(*codes: Sequence[str]) -> list[str]:
    """All of them, each where it comes first."""
    return list(dict.fromkeys(code for some in codes for code in some))


def _codes_of(form: type[Strict]) -> Iterator[str]:
    for field in form().fields.values():
        if not field.read_only:
            yield from (code for code in _words_of(field) if _can_be(code, field))


def _words_of(field: serializers.Field[Any, Any, Any, Any]) -> Iterator[str]:
    yield from field.error_messages
    for validator in field.validators:
        if code := getattr(validator, "code", ""):
            yield code


def _can_be(code: str, field: serializers.Field[Any, Any, Any, Any]) -> bool:
    if code == "required":
        return field.required
    if code in _UNLESS_TRUE:
        return not getattr(field, _UNLESS_TRUE[code], False)
    if code in _LIMITS:
        return getattr(field, code, None) is not None
    return code not in getattr(field, "never_said", ())
