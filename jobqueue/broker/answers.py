"""What Redis answers, as text: it sends bytes, which need not be text at all."""

from __future__ import annotations


def text_of(value: bytes | str) -> str:
    """To be read or compared; what is no text is replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def id_of(value: bytes | str) -> str:
    """To be handed back to Redis with `raw`, whatever its bytes are."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def raw(text: str) -> bytes:
    """The bytes that `id_of` made a text of."""
    return text.encode("utf-8", "surrogateescape")
