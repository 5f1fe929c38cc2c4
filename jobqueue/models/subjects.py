"""Texts derived from rows of any application: whatever its primary key is, the text can be kept."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import models

from jobqueue.exceptions import InvalidUniqueKey

LONGEST_TEXT = 200
"""Characters of a subject."""
_DIGITS = 32


def subject_of(instance: models.Model) -> str:
    """The subject text of a model instance: `"settlements.settlement:<pk>"`, as `subject_text` keeps it."""
    return subject_text(f"{instance._meta.label_lower}:{key_text(instance)}")


def key_text(instance: models.Model) -> str:
    """The primary key as a text that is the same whenever the row is read.

    Raises InvalidUniqueKey where it has none: its Python type is written with its place in memory.
    """
    key = instance.pk
    return str(key) if type(key) in _PLAIN else str(_readable(key, instance))


_PLAIN = frozenset({int, str, UUID})


def _readable(key: Any, instance: models.Model) -> Any:
    # What the drivers give for binary columns, each in its own way.
    if isinstance(key, memoryview | bytearray):
        return bytes(key)
    if isinstance(key, tuple):
        return tuple(_readable(part, instance) for part in key)
    kind: Any = type(key)
    if kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__:
        raise InvalidUniqueKey(
            f"a row of {instance._meta.label} cannot be the subject of a job: its primary key is of the type "
            f"{type(key).__name__}, which has no text; allowed are types with a __str__ that names the value"
        )
    return key


def subject_text(text: str) -> str:
    """A derived text as a row can hold it: itself, or its beginning and a hash of all of it.

    Hashed is what has more than LONGEST_TEXT characters, a NUL or half of a character (a lone surrogate).
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(text) <= LONGEST_TEXT and b"\x00" not in data and data.decode("utf-8", "ignore") == text:
        return text
    beginning = "".join(filter(str.isprintable, text[: LONGEST_TEXT - _DIGITS - 1]))
    return f"{beginning}…{sha256(data).hexdigest()[:_DIGITS]}"


def is_shortened(text: str) -> bool:
    """Whether a subject names its row by a hash: then nothing tells which row it is."""
    return len(text) > _DIGITS and text[-_DIGITS - 1] == "…"
