"""What is hidden where people look: addresses in any text, what a payload says or was searched for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, Final

from jobqueue.payloads import DEEPEST

HIDDEN: Final = "•••"
MASK: Final = "(address)"

_WORD: Final = r"""[^\s<>"(),:;\[\]]"""
_BEGIN: Final = r"""(?<![^\s<>"'(),:;\[\]])[^\s<>"'(),:;\[\]]"""
_COMMENT: Final = r"\((?:[^()\n]|\([^()\n]{0,64}\)){0,64}\)"
_QUOTED: Final = r"""(?:"(?:[^"\\\n]|\\.){1,254}+"|\\"(?:[^"\\\n]|\\[^"\n]){1,254}+\\")"""
# "pia payer", the same within quotes, pia."p.".payer; pia, o'hara, pia(at work); the end of a long address of
# a page. All but the last are bounded: a text of nothing but beginnings must not take for ever.
_LOCAL: Final = (
    rf"(?:(?:(?:{_QUOTED}|{_BEGIN}{_WORD}{{0,64}})\.)?{_QUOTED}(?:\.{_WORD}{{1,64}})?"
    rf"|{_BEGIN}{_WORD}{{0,320}}(?:{_COMMENT}{_WORD}{{0,64}}){{0,2}}"
    rf"|(?<!{_WORD}){_WORD}{{320,}})"
)
AT_SIGNS: Final = ("@", "%40", "%2540", "&#64;", "&#x40;", "&commat;", "\\u0040", "\uff20", "\ufe6b")
"""How an @ is written, in any case: a text with none of these has no address."""
_AT: Final = f"(?:{'|'.join(map(re.escape, AT_SIGNS))})"
_DOMAIN: Final = (
    rf"(?:{_COMMENT})?"
    r"""(?:\[[^\]\s]*\]?|[^\s<>"'(),:;\[\]]+)"""
    r"""(?:(?:(?<=\.)\([^()\s]{0,64}\)|\([^()\s]{0,64}\)\.)[^\s<>"'(),:;\[\]]+)?"""
)
# pia @ example.com, as people write it; what follows has to look like a domain.
_SPACED: Final = (
    rf"{_BEGIN}{_WORD}{{0,64}}[ \t]{{0,8}}{_AT}[ \t]{{1,8}}(?:[\w-]{{1,63}}\.){{1,8}}[^\W\d_]{{2,63}}"
)
_ADDRESS: Final = re.compile(f"{_LOCAL}{_AT}{_DOMAIN}|{_SPACED}", re.IGNORECASE)
_HAS_AT: Final = re.compile(_AT, re.IGNORECASE)
_SEARCH_IN_PAYLOADS: Final = "args."
# args.number:5, args.note:"a b"; a bracket that ends what stands around it stays. Bounded as the above are.
_SEARCHED: Final = re.compile(
    r"(?<![\w.])(args(?=[\w.-]{1,200}:)(?:\.[\w-]+)+:)"
    r"""(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)[^\s)]*|\S+?(?=(?:\)\.?)?(?:\s|\Z)))""",
    re.DOTALL,
)


def mask_addresses(text: str, by: str = MASK) -> str:
    """`text` without e-mail addresses: pages are looked at over shoulders, logs are kept elsewhere."""
    return _ADDRESS.sub(by, text) if _HAS_AT.search(text) else text


def mask_searched(text: str) -> str:
    """`text` without what a search that stands in it looked for in payloads: `args.number:•••`."""
    return _SEARCHED.sub(rf"\1{HIDDEN}", text) if _SEARCH_IN_PAYLOADS in text else text


def has_address(text: str) -> bool:
    """Whether an e-mail address stands in the text."""
    return mask_addresses(text, "") != text


def mask_address(address: str, words: str = "%(begin)s… at %(domain)s") -> str:
    """Enough of one address to recognise it by, too little to read it off."""
    name, _at, domain = address.rpartition("@")
    return words % {"begin": name[:1], "domain": domain} if domain else f"{name[:1]}…"


def mask_payload(value: Any, depth: int = 0) -> Any:
    """A payload as it is shown to those who may not read it: its form, and no text or number of it."""
    if depth > DEEPEST:  # it was not written by `enqueue`
        return "…"
    if isinstance(value, dict):
        return {_mask_key(str(key)): mask_payload(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [mask_payload(inner, depth + 1) for inner in value]
    return value if value is None or isinstance(value, bool) else HIDDEN


def has_masks(value: Any, original: Any) -> bool:
    """Whether something of a payload that `enqueue` takes is as `mask_payload` shows it.

    What stands so in the `original` at the same place is its own.
    """
    if isinstance(value, dict):
        before = original if isinstance(original, dict) else {}
        is_new = MASK in value and MASK not in before
        return is_new or any(has_masks(inner, before.get(key)) for key, inner in value.items())
    if isinstance(value, list):
        rows = original if isinstance(original, list) else []
        return any(has_masks(*pair) for pair in zip_longest(value, rows[: len(value)]))
    return value in (HIDDEN, MASK) and value != original


def _mask_key(key: str) -> str:
    """The name of a value; nothing of it where an address may be in it, however it is written."""
    return MASK if _HAS_AT.search(key) else key


def shown_keys(keys: Iterable[str]) -> list[str]:
    """The names of values as they are shown to everybody, each once, cut where they are long."""
    return list(dict.fromkeys(_mask_key(key)[:40] for key in keys))


# Embeddings, overrides and isolates, and what ends them.
_TURNS = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def without_turns(text: str) -> str:
    """`text` with characters that turn the direction of others as they are written in code, `\\u202e`.

    One of them in an error or a reason turns round what a page says behind it. Names and reasons in Arabic or
    Hebrew need none: their letters say their direction themselves.
    """
    return text.translate(_TURNS)
