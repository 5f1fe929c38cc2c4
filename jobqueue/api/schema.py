"""The entry of an action in the schema: whom it is for, which refusals there can be, their headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from jobqueue.api.bodies import Strict

_OF_CHANGES: Final = ("409", "411", "413", "415", "422")
"""Refusals of what has a body, or changes something."""
_HEADERS: Final = {
    "401": ("WWW-Authenticate", "string", "By which scheme to log in."),
    "405": ("Allow", "string", "The methods that there are."),
    "429": ("Retry-After", "integer", "After how many seconds to go on."),
    "503": ("Retry-After", "integer", "After how many seconds to ask again."),
}


class OperatorSchema(AutoSchema):
    """What is generated, without refusals that cannot be, and with the permissions that the view needs."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """The operation as OpenAPI has it; None if there is none."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        responses = operation["responses"]
        if self.method == "GET":
            for status in (*_OF_CHANGES, *([] if "{" in self.path else ["404"])):
                responses.pop(status, None)
        for status, (name, kind, text) in _HEADERS.items():
            if status in responses:
                responses[status]["headers"] = {name: {"schema": {"type": kind}, "description": text}}
        if needs := getattr(self.view, "needs", {}).get(getattr(self.view, "action", "")):
            operation["description"] = f"{operation.get('description', '')}\n\n{_told(needs)}".strip()
        return operation

    def get_tags(self) -> list[str]:
        """The resource; the root, which is none, has a word of its own."""
        return list(super().get_tags()) or ["root"]

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        """The form of what is read says that what it does not know is refused."""
        mapped = super()._map_basic_serializer
        form: dict[str, Any] = mapped(serializer, direction)  # type: ignore[no-untyped-call]
        if isinstance(serializer, Strict):
            form["additionalProperties"] = False
            if serializer.fewest:
                form["minProperties"] = serializer.fewest
        return form


class NamedChoice(serializers.ChoiceField):
    """One of some words, which stand in the schema once, by the name of what they are.

    The name is given here and not in SPECTACULAR_SETTINGS, which are the project's.
    """

    def __init__(self, name: str, words: Sequence[str], **options: Any) -> None:
        self.name_in_schema = name
        super().__init__(words, **options)


class _WordsOfNamedChoice(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """How drf-spectacular, which finds it by itself, writes them."""

    target_class = NamedChoice

    def get_name(self) -> str:
        name: str = self.target.name_in_schema
        return name

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.target.choices)}


def _told(needs: tuple[str, ...]) -> str:
    named = ", ".join(f"`{permission}`" for permission in needs).replace(" or ", "` or `")
    return f"Permission{'s' if len(needs) > 1 else ''}: {named}."
