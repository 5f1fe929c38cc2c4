"""What is hidden where people look: e-mail addresses in any text, and what a job's payload says."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "•••"
_DEEPEST: Final = 64
"""Payloads are no deeper; one that is was not written by `enqueue`."""

# pia, o'hara, pia(at work), "pia payer", and the last within quotes themselves
_LOCAL: Final = (
    r"""(?:\\?"(?:[^"\\\n]|\\.){1,254}\\?\""""
    r"""|(?<![^\s<>"'(),:;\[\]])[^\s<>"'(),:;\[\]](?:[^\s<>"(),:;\[\]]|\([^()\s]{0,64}\)){0,320})"""
)
_AT: Final = r"(?:@|%40|&#64;|\uFF20)"
_DOMAIN: Final = r"""(?:\[[^\]\s]*\]?|[^\s<>"'(),:;\[\]]+)"""
_ADDRESS: Final = re.compile(_LOCAL + _AT + _DOMAIN, re.IGNORECASE)
_HAS_AT: Final = re.compile(_AT, re.IGNORECASE)


def mask_addresses(text: str, by: str = "(address)") -> str:
    """`text` without e-mail addresses: pages are looked at over shoulders, logs are kept elsewhere."""
    return _ADDRESS.sub(by, text) if _HAS_AT.search(text) else text


def has_address(text: str) -> bool:
    """Whether an e-mail address stands in the text."""
    return mask_addresses(text, "") != text


def mask_address(address: str) -> str:
    """Enough of one address to recognise it by, too little to read it off."""
    name, _at, domain = address.rpartition("@")
    return f"{name[:1]}…{domain and ' at '}{domain}"


def mask_payload(value: Any, depth: int = 0) -> Any:
    """A payload as it is shown to those who may not read it: its form, and no text or number of it."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {mask_addresses(str(key)): mask_payload(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [mask_payload(inner, depth + 1) for inner in value]
    return value if value is None or isinstance(value, bool) else HIDDEN
