"""Texts derived from rows of any application: whatever its primary key is, the text can be kept."""

from __future__ import annotations

from hashlib import sha256

from django.db import models

LONGEST_TEXT = 200
"""Characters of a subject."""
_DIGITS = 32


def subject_of(instance: models.Model) -> str:
    """The subject text of a model instance: `"settlements.settlement:<pk>"`, as `subject_text` keeps it."""
    return subject_text(f"{instance._meta.label_lower}:{instance.pk}")


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
