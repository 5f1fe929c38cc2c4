"""A language in which every text that is marked for translation stands between ⟦ and ⟧."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import translation

OPEN, CLOSE = "⟦", "⟧"
_SAID_BY_ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "label", "summary")
_NOT_READ = ("script", "style", "pre", "code", "template")
_BUTTONS = ("submit", "button", "reset")


@contextmanager
def every_text_marked(but: str = "") -> Iterator[None]:
    """All that is translated is wrapped, also what is translated when it is shown, and Django's own.

    In the language `but` nothing is.
    """
    real: Any = translation._trans  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("gettext", "ngettext", "pgettext", "npgettext"):
            patch.setattr(real, name, _wrapping(getattr(real, name), but))
        yield


def _wrapping(translate: Any, but: str) -> Any:
    def wrapped(*arguments: Any) -> str:
        text = str(translate(*arguments))
        is_marked = text.strip() and translation.get_language() != but
        return f"{OPEN}{text}{CLOSE}" if is_marked else text

    return wrapped


class ShownTexts(HTMLParser):
    """What of a page is read by people and is not wrapped: of elements, attributes and buttons."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.unmarked: list[str] = []
        self._inside: list[str] = []
        self._depth = 0
        self._text = ""
        self.feed(html)
        self.close()
        self._flush()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins: what its attributes say stands for itself."""
        if tag == "wbr":
            return
        self._flush()
        given = {name: text or "" for name, text in attrs}
        if tag in _NOT_READ or ("lang" in given and tag != "html"):
            self._inside.append(tag)
        names = [name for name in given if name in _SAID_BY_ATTRIBUTES or _is_said_by_script(name)]
        if tag == "input" and given.get("type") in _BUTTONS:
            names.append("value")
        self.unmarked += [rest for name in names if (rest := _outside(given[name])[0])]

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        self._flush()
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        """A text; a mark may begin in one element and end in another."""
        self._text += data

    def _flush(self) -> None:
        if not self._inside:
            rest, self._depth = _outside(self._text, self._depth)
            self.unmarked += [rest] if rest else []
        self._text = ""


def _is_said_by_script(name: str) -> bool:
    return name in ("data-pause", "data-resume", "data-runs", "data-paused", "data-held", "data-failed")


def _outside(text: str, depth: int = 0) -> tuple[str, int]:
    """What of the text is in no mark, and how many marks are open at its end."""
    kept = []
    for letter in text:
        depth += (letter == OPEN) - (letter == CLOSE)
        kept.append(letter if depth == 0 and letter != CLOSE else " ")
    return re.sub(r"\s+", " ", "".join(kept)).strip(), depth
