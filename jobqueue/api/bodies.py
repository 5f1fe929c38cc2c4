"""What the API reads: bodies of JSON of a bounded size, and nothing that it does not know the name of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, ClassVar, Final, TypeVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from jobqueue.api.problems import BadQuery, InvalidBody, TooLarge
from jobqueue.api.streamed import drop_rest
from jobqueue.models.audit import LONGEST_REASON
from jobqueue.payloads import trouble_with_json

LARGEST_BODY: Final = 256 * 1024
"""Bytes of a body."""
NO_OBJECT: Final = "no_object"
"""The code of a body that is no object."""
GIVEN_TWICE: Final = "given_twice"
OF_FORMS: Final = {"field": ("unknown_field",), "parameter": ("unknown_parameter", GIVEN_TWICE)}
"""The codes of a form as a whole, by what its parts are called."""
_MOST_NAMED = 20
_LONGEST_NAMED = 80

Read = TypeVar("Read", bound="serializers.Serializer[Any]")


class StrictJSONParser(BaseParser):
    """JSON as RFC 8259 has it, in UTF-8, at most LARGEST_BODY bytes."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value; ParseError or TooLarge if there is none."""
        raw = stream.read(LARGEST_BODY + 1)
        if len(raw) > LARGEST_BODY:
            drop_rest(stream)
            raise TooLarge(f"A body may have {LARGEST_BODY:,} bytes.")
        try:
            return json.loads(
                raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_each_once
            )
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is no JSON in UTF-8: {trouble_with_json(error)}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of JSON; ValueError if it has a field twice: which of the two was meant is a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(name, _), *_] = (Counter(name for name, _ in pairs)).most_common(1)
        raise ValueError(f"the field {name[:_LONGEST_NAMED]!r} is given more than once")
    return found


class Strict(serializers.Serializer[Any]):
    """Fields, and nothing else: what has another name is refused by that name."""

    what = "field"
    fewest: ClassVar[int] = 0
    """How many of the fields have to be there, whichever."""

    def to_internal_value(self, data: Any) -> Any:
        """The values; ValidationError names what is wrong."""
        if isinstance(data, Mapping):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            unknown = [str(name) for name in data if name not in writable]
            if unknown:
                raise serializers.ValidationError(_refusals(unknown, sorted(writable), self.what))
        return super().to_internal_value(data)


def _refusals(unknown: list[str], allowed: list[str], what: str) -> dict[str, list[Any]]:
    text = f"There is no such {what}; allowed are: {', '.join(allowed) or 'none'}."
    return {
        name[:_LONGEST_NAMED]: [serializers.ErrorDetail(text, f"unknown_{what}")]
        for name in unknown[:_MOST_NAMED]
    }


class StrictQuery(Strict):
    """The parameters of an address."""

    what = "parameter"


class Text(serializers.CharField):
    """A text of JSON: no number stands for one."""

    default_error_messages = {"invalid": "Give a text, in quotes."}

    def to_internal_value(self, data: Any) -> str:
        """The text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


def optional_reason(help_text: str, most: int = LONGEST_REASON) -> Text:
    """Why something is done, in at most so many characters; it may be empty or left out."""
    return Text(required=False, allow_blank=True, max_length=most, help_text=help_text)


class Reason(Strict):
    """Why something is done. It may be left out, and the body with it."""

    reason = optional_reason("Stands in the history and in the audit.")


class Whole(serializers.IntegerField):
    """A whole number of JSON: no text, fraction or `true` stands for one."""

    never_said: ClassVar[tuple[str, ...]] = ("max_string_length",)

    default_error_messages = {"invalid": "Give a whole number, without quotes and point."}

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class YesOrNo(serializers.BooleanField):
    """A boolean of JSON: no text or number stands for one."""

    default_error_messages = {"invalid": "Give true or false, without quotes."}

    def to_internal_value(self, data: Any) -> bool:
        """The boolean."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Choice(serializers.ChoiceField):
    """One of a few words; a refusal names them."""

    def to_internal_value(self, data: Any) -> Any:
        """The word."""
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(f"Allowed are: {', '.join(self.choices)}.", "invalid_choice")
        return super().to_internal_value(data)


class AwareMoment(serializers.DateTimeField):
    """A time with its zone: without one it could be any of a day."""

    never_said: ClassVar[tuple[str, ...]] = ("date", "make_aware", "overflow")
    """Messages of Django REST Framework that nothing which is read leads to."""

    default_error_messages = {
        "invalid": "It is no time such as 2030-01-31T08:00:00Z.",
        "naive": "It has no time zone: write 2030-01-31T08:00:00Z, or 2030-01-31T08:00:00+01:00.",
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        """The time as it was given."""
        if timezone.is_naive(value):
            self.fail("naive")
        return value


class CalendarMoment(AwareMoment):
    """One that every zone has: at the ends of the calendar some do not."""

    never_said = ("date", "make_aware")
    default_error_messages = {"overflow": "It lies outside of the calendar, which has the years 1 to 9999."}

    def enforce_timezone(self, value: datetime) -> datetime:
        """The time as it was given."""
        moment = super().enforce_timezone(value)
        try:
            moment.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")
        return moment


def read_body(kind: type[Strict], request: Request) -> dict[str, Any]:
    """The fields of the body; InvalidBody names what is wrong."""
    if not isinstance(request.data, Mapping):
        text = 'The body must be an object of JSON, such as {"name": "value"}.'
        raise InvalidBody({"non_field_errors": [serializers.ErrorDetail(text, NO_OBJECT)]})
    read = kind(data=request.data)
    if not read.is_valid():
        raise InvalidBody(read.errors)
    return dict(read.validated_data)


def read_query(kind: type[StrictQuery], request: Request) -> dict[str, Any]:
    """The parameters of the address; BadQuery names what is wrong."""
    given = request.query_params
    text = serializers.ErrorDetail("It is given more than once.", GIVEN_TWICE)
    twice = {name: [text] for name in given if len(given.getlist(name)) > 1}
    if twice:
        raise BadQuery(twice)
    read = kind(data=given.dict())
    if not read.is_valid():
        raise BadQuery(read.errors)
    return dict(read.validated_data)
