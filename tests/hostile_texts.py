"""What nobody should send or store, and what may stand in a column of it."""

from __future__ import annotations

EVIL = "<script>alert(1)</script>"
OVERRIDE = "\u202e"
"""From here on what follows is shown from right to left, until something ends it."""
TEXTS = (
    f"\"'><b>{EVIL} {{{{ 7|add:7 }}}} {{% debug %}} \x1b[31mred\x07 {OVERRIDE}gnp.exe",
    f"nul\x00nul {EVIL}",
    "x" * 1_000_000,
    "word " * 1_900,
)


def name_of(text: str) -> str:
    """What a test calls it."""
    return repr(text[:12])


def stored(text: str, most: int) -> str:
    """As much of it as a column takes."""
    return text.replace("\x00", "")[:most]
