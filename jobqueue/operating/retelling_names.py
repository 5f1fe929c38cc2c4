"""Names of records and what forms changed, kept in English: told in the language of who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.apps import apps
from django.utils.functional import Promise
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext

from jobqueue.models import BulkAction, Worker, title_of
from jobqueue.operating.language import in_english

_NAMES: dict[str, list[tuple[re.Pattern[str], str | Promise]]] = {}
_MORE = re.compile(r"(?P<names>.+) and (?P<number>\d+) more", re.S)
# As `django.contrib.admin` says them, told by its own catalogue: `Changed {fields}.`
_OF_FORMS = (
    (re.compile(r"Added\."), "Added."),
    (re.compile(r"No fields changed\."), "No fields changed."),
    (re.compile(r"Added (?P<name>[^“]+) “(?P<object>.*)”\.", re.S), "Added {name} “{object}”."),
    (re.compile(r"Deleted (?P<name>[^“]+) “(?P<object>.*)”\.", re.S), "Deleted {name} “{object}”."),
    (
        re.compile(r"Changed (?P<fields>[^“]+) for (?P<name>[^“]+) “(?P<object>.*)”\.", re.S),
        "Changed {fields} for {name} “{object}”.",
    ),
    (re.compile(r"Changed (?P<fields>[^“]+)\.", re.S), "Changed {fields}."),
)
_SENTENCE_ENDS = re.compile(r"(?<=\.) (?=(?:Added|Changed|Deleted) )")


def tell_names(kind: str, pattern: str, told: str | Promise) -> None:
    """Tell the names of records of this model, by its label, that say how the record stands.

    What the pattern finds as a whole is told, with its named groups as places, each as the catalogues say it.
    """
    _NAMES.setdefault(kind, []).append((re.compile(pattern, re.S), told))


def retold_name(kind: str, name: str) -> str:
    """What was changed as the reader calls it; what people named stays. `kind` is the label of its model."""
    if kind == Worker._meta.label_lower:
        return title_of(name)  # of what was written when names stood there in full
    for pattern, told in _NAMES.get(kind, ()):
        if found := pattern.fullmatch(name):
            return str(told) % {place: word_told(text) for place, text in found.groupdict().items()}
    verb, mark, number = name.rpartition(" #")
    return f"{word_told(verb)}{mark}{number}" if kind == BulkAction._meta.label_lower else name


def retold_names(kind: str, text: str) -> str:
    """Several names, as an action on many records has them."""
    found = _MORE.fullmatch(text)
    listed = found["names"] if found else text
    names = ", ".join(retold_name(kind, name) for name in listed.split(", "))
    if not found:
        return names
    return gettext("%(names)s and %(number)s more") % {"names": names, "number": found["number"]}


def word_told(text: str) -> str:
    """What the catalogues say for it, also where it stands there with a small letter."""
    if not text.strip():
        return text  # the catalogues say what they are for nothing
    told = gettext(text)
    if told != text or not text[0].isupper():
        return told
    return str(capfirst(gettext(text[0].lower() + text[1:])))


# Forms ----------------------------------------------------------------------------------------------


def retold_form(text: str) -> str:
    """`Changed Amount and Due date.` as the reader says it; empty for what no form of the admin says."""
    told = [_sentence(one) for one in _SENTENCE_ENDS.split(text)]
    return " ".join(told) if all(told) else ""


def retold_fields(text: str) -> str:
    """`Amount, Due date and Status`: what a form calls its fields, or their columns."""
    parts = [text] if word_told(text) != text else re.split(r", | and ", text)
    return get_text_list([word_told(part.replace("_", " ")) for part in parts], gettext("and"))


def _sentence(text: str) -> str:
    for pattern, marked in _OF_FORMS:
        if found := pattern.fullmatch(text):
            return gettext(marked).format(**_places(found.groupdict()))
    return ""


def _places(found: dict[str, str]) -> dict[str, str]:
    told = {"fields": retold_fields(found["fields"])} if "fields" in found else {}
    if "name" in found:
        name = found["name"]
        told |= {"name": word_told(name), "object": retold_name(_kind_called(name, _NAMES), found["object"])}
    return told


def _kind_called(name: str, kinds: Iterable[str]) -> str:
    """The label of the model that is called so in English; empty if none of these is."""
    with in_english():
        return next((kind for kind in kinds if str(apps.get_model(kind)._meta.verbose_name) == name), "")
