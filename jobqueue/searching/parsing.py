"""Reads what people type into a search; what cannot be read is named, with what is allowed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.searching.states import STATES
from jobqueue.searching.times import ALLOWED_TIMES, as_moment, time_from
from jobqueue.searching.words import LONGEST_SEARCH, MOST_WORDS, NAMES, NOT, Search, Word

_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A search that finds nothing: the word that is wrong, and a sentence that says what is allowed."""

    word: str
    reason: str

    def __str__(self) -> str:
        return self.reason


def parse(text: str) -> Search | Unreadable:
    """The search that `text` asks for, or which of its words cannot be read and what is allowed.

    Words stand between spaces and are all required: `name:value`, `name:"a value"`, or text. `-` or `NOT`
    before a word leaves out what meets it. Text in quotes is one word, in which `\\"` is a quote.
    """
    refusal = _refusal_of_length(text) or _refusal_of_characters(text)
    if refusal:
        return refusal
    words: list[Word] = []
    for found in _read(text):
        if isinstance(found, Unreadable):
            return found
        words.append(found)
    return Search(tuple(words))


def frozen(text: str, now: datetime) -> str:
    """The same search with moments for ages: an hour later `since:2h` would ask for other jobs."""
    search = parse(text)
    if isinstance(search, Unreadable):
        return text
    words = (
        replace(word, value=as_moment(word.value, now)) if word.name in ("since", "until") else word
        for word in search
    )
    same = str(Search(tuple(words)))
    return text if why_too_long(same) else same


def with_addresses_named(search: Search) -> Search | None:
    """The same with `email:` before each text that is an address; None if none is, or it gets too long."""
    words = tuple(
        replace(word, name="email") if word in _bare(search) and _is_whole(word.value) else word
        for word in search
    )
    same = Search(words)
    return None if same == search or why_too_long(str(same)) else same


def _bare(search: Search) -> list[Word]:
    return [word for word in search if not word.name and not word.negated]


def _is_whole(value: str) -> bool:
    name, _at, host = value.partition("@")
    return bool(name and host) and _is_address(value)


def why_too_long(text: str) -> str:
    """Why nothing is looked for, for the user to read; empty for a search that is short enough."""
    if len(text) <= LONGEST_SEARCH and len(text.split()) <= MOST_WORDS:
        return ""
    return gettext(
        "Nothing was looked for: a search may have at most %(words)d words and %(characters)d characters."
    ) % {"words": MOST_WORDS, "characters": LONGEST_SEARCH}


def _refusal_of_length(text: str) -> Unreadable | None:
    reason = why_too_long(text)
    return Unreadable(_shown(text), reason) if reason else None


def _refusal_of_characters(text: str) -> Unreadable | None:
    """What no database keeps in a text, or no screen shows: NUL, escapes, half of a character."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and not character.isspace():
            reason = _("%(word)s is no character of a search; allowed is what can be printed.")
            return refuse(f"U+{ord(character):04X}", reason)
    return None


# Words ---------------------------------------------------------------------------------------------

_WORD = re.compile(
    r"""\s*(?P<sign>-?)(?:(?P<name>[^\s:"]+):)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\s|$)|(?P<plain>\S*))""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MODEL = re.compile(r"(?!args\.)\w+\.\w+", re.ASCII)
_ARGUMENT = re.compile(r"args((?:\.[\w-]+)+)")


def _read(text: str) -> Iterator[Word | Unreadable]:
    negated, position, text = False, 0, text.rstrip()
    while position < len(text):
        match = _WORD.match(text, position)
        assert match is not None  # at the least with an empty value
        position = match.end()
        if match[0].strip() == NOT and not negated:
            negated = True
            continue
        yield _word(match, negated)
        negated = False
    if negated:
        yield refuse(NOT, _("After %(word)s must come what is left out; in quotes it is looked for itself."))


def _word(match: re.Match[str], negated: bool) -> Word | Unreadable:
    name, value = match["name"] or "", match["plain"]
    if value is None:
        value = _ESCAPED.sub(r"\1", match["quoted"])
    elif '"' in value:
        return refuse(match[0].strip(), _('The quotes of %(word)s do not fit; allowed is name:"some text".'))
    if _MODEL.fullmatch(name):
        name, value = "", f"{name}:{value}"  # the subject of a job
    return _named(name, value, negated or bool(match["sign"]))


def _named(name: str, value: str, negated: bool) -> Word | Unreadable:
    argument = _ARGUMENT.fullmatch(name)
    if argument:
        return _checked(Word("args", value, negated, tuple(argument[1][1:].split("."))))
    known = name.lower()
    if known and (known not in NAMES or known == "args"):
        reason = _("There is no %(word)s; allowed are %(allowed)s. In quotes it is looked for as text.")
        return refuse(f"{name}:", reason, _listed_names())
    return _checked(Word(known, value.lower() if known == "state" else value, negated))


def _listed_names() -> str:
    return ", ".join(f"{name}.<argument>:" if name == "args" else f"{name}:" for name in NAMES)


# Values --------------------------------------------------------------------------------------------

JOB_NUMBER: Final = re.compile(r"#?(-?\d{1,19})(?:-\d+)?", re.ASCII)
"""A job's id, also as `#17` and as its message, `17-2`."""
_BULK_NUMBER: Final = re.compile(r"#?\d{1,18}", re.ASCII)


def _is_address(value: str) -> bool:
    return "@" in value and not any(character.isspace() for character in value)


_VALUES: Final[dict[str, tuple[Callable[[str], Any], Any]]] = {
    "id": (JOB_NUMBER.fullmatch, _("the number of a job, id:123")),
    "bulk": (_BULK_NUMBER.fullmatch, _("the number of a bulk action, bulk:12")),
    "state": (STATES.__contains__, ", ".join(f"state:{state}" for state in STATES)),
    "email": (_is_address, _("a whole address, email:anna@example.com")),
    "since": (time_from, ALLOWED_TIMES),
    "until": (time_from, ALLOWED_TIMES),
}
"""What the value of a word must be, and how that is said; of the others anything is looked for."""


def _checked(word: Word) -> Word | Unreadable:
    """The word, if its value can be looked for."""
    is_allowed, allowed = _VALUES.get(word.name, (str.strip, _("some text after the colon")))
    if not word.name:
        allowed = _("some text")
    if is_allowed(word.value):
        return word
    return refuse(str(word), _("%(word)s cannot be looked for; allowed is %(allowed)s."), allowed)


def refuse(word: str, reason: Any, allowed: Any = "") -> Unreadable:
    """Nothing is looked for because of this word; `reason` names it as `%(word)s`."""
    shown = _shown(word)
    return Unreadable(shown, reason % {"word": shown, "allowed": allowed})


def _shown(text: str) -> str:
    """A word as a message can show it: short, and with nothing in it that no screen shows."""
    shown = "".join(character if character.isprintable() else "�" for character in text[:_MOST_SHOWN])
    return f"{shown}…" if len(text) > _MOST_SHOWN else shown
