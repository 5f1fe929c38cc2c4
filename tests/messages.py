"""`python -m tests.messages` collects the texts that are marked for translation and compiles the catalogues.

The catalogues are of the language de: one in each of the apps, and one of the site. What is new is added
without a translation, what nobody says any more is dropped; `tests/languages/test_catalogues.py` says what is
missing. No tools of GNU gettext are needed.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = "de"
PLACES = {
    "jobqueue": ("jobqueue",),
    "settlements": ("settlements",),
    ".": ("spendsync_site", "templates"),
}
"""Where a catalogue is, and the folders whose texts are in it."""
_ONE = ("_", "gettext", "gettext_lazy", "gettext_noop")
_ONE_OR_MORE = ("ngettext", "ngettext_lazy")
_TEXT = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_IN_TEMPLATE = re.compile(
    rf"\b(?:gettext|_)\((?P<one>{_TEXT})\)|\bngettext\((?P<few>{_TEXT}), (?P<many>{_TEXT})"
)

_WRITTEN = datetime(2026, 11, 27, tzinfo=UTC)
"""As the catalogues say it: with the moment of each collection they would differ where nothing does."""

Message = str | tuple[str, str]
"""A text, or what is said of one and of many."""


def path_of(place: str) -> Path:
    """The catalogue as people edit it; the compiled one lies beside it."""
    return ROOT / place / "locale" / LANGUAGE / "LC_MESSAGES" / "django.po"


def catalogue(path: Path) -> Catalog:
    """The catalogue in a file; an empty one where there is none."""
    if not path.exists():
        return Catalog(LANGUAGE)
    with path.open("rb") as file:
        return read_po(file, LANGUAGE)


def compiled(catalog: Catalog) -> bytes:
    """What Django reads."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


@cache
def marked(place: str) -> dict[Message, list[str]]:
    """All texts of a place that are marked for translation, with the files that say them."""
    found: dict[Message, list[str]] = {}
    for folder in PLACES[place]:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".html", ".txt"):
                for message in _texts_of(path):
                    files = found.setdefault(message, [])
                    name = str(path.relative_to(ROOT))
                    files += [name] if name not in files else []
    return found


def _texts_of(path: Path) -> Iterator[Message]:
    source = path.read_text()
    if path.suffix == ".py":
        yield from _of_python(source)
    elif "i18n" in source:
        yield from _of_template(source)


def _of_python(source: str) -> Iterator[Message]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        texts = [
            one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        if node.func.id in _ONE and texts:
            yield texts[0]
        elif node.func.id in _ONE_OR_MORE and len(texts) >= 2:  # the third of a lazy one names its number
            yield texts[0], texts[1]


def _of_template(source: str) -> Iterator[Message]:
    for found in _IN_TEMPLATE.finditer(templatize(source)):
        if found["one"]:
            yield ast.literal_eval(found["one"])
        else:
            yield ast.literal_eval(found["few"]), ast.literal_eval(found["many"])


def key_of(message: Message) -> str:
    """By what a catalogue finds it."""
    return message if isinstance(message, str) else message[0]


def _collect(place: str) -> Catalog:
    """The catalogue with what is marked now: what is translated stays so."""
    old = catalogue(path_of(place))
    new = Catalog(
        LANGUAGE,
        header_comment=old.header_comment,
        project="SpendSync",
        version="1",
        msgid_bugs_address="SpendSync",
        last_translator="SpendSync",
        language_team="German",
        creation_date=_WRITTEN,
        revision_date=_WRITTEN,
        fuzzy=False,
    )
    for message, files in marked(place).items():
        known = old.get(key_of(message))
        is_same = known is not None and (known.id == message or known.id == key_of(message) == message)
        new.add(
            message, known.string if known is not None and is_same else None, [(name, None) for name in files]
        )
    return new


def main() -> None:
    """Write them all."""
    for place in PLACES:
        path = path_of(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalog = _collect(place)
        with path.open("wb") as file:
            write_po(file, catalog, width=110, include_lineno=False)
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        missing = sum(1 for message in catalog if message.id and not is_said(message.string))
        print(f"{path.relative_to(ROOT)}: {len(catalog)} texts, {missing} without a translation")


def is_said(text: str | Sequence[str] | None) -> bool:
    """Whether there is a translation, of each of the forms."""
    return bool(text) and (isinstance(text, str) or all(text or ()))


if __name__ == "__main__":
    main()
