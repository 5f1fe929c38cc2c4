"""Texts as any database takes them."""

from __future__ import annotations


def clean(text: str, longest: int) -> str:
    """`text` as any database takes it: no NUL, no lone surrogates, the end kept if it is too long."""
    text = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= longest else "… " + text[-longest:]
