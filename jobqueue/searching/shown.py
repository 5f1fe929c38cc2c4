"""Texts in which is searched as they are shown to whoever asks.

Who may not read payloads sees errors without addresses, and finds them by what he sees: by the words around
an address, by the mask in its place, and by no part of it, or he would spell it out letter by letter.
"""

from __future__ import annotations

import re

from django.db.models import Q
from django.db.models.lookups import IStartsWith, StartsWith
from django.utils.translation import gettext

from jobqueue.masking import MASK, mask_addresses
from jobqueue.sql.any_case import contains
from jobqueue.sql.masked import Masked

_PARENTHESES = re.compile(r"[()]")


def says(column: str, text: str, *, may_read: bool) -> Q:
    """Rows whose column has this text in it as it is shown, in any case."""
    if may_read:
        return contains(column, text)
    wanted = _in_english(text)
    return _may_say(column, wanted) & contains(Masked(column), wanted)


def begins_with(column: str, text: str, *, may_read: bool) -> Q:
    """Rows whose column begins with this text as it is shown, in any case."""
    if may_read:
        return Q(**{f"{column}__istartswith": text}) & contains(column, text)
    wanted = _in_english(text)
    return _may_say(column, wanted) & Q(IStartsWith(Masked(column), wanted))


def subject_begins_with(text: str, *, may_read: bool) -> Q:
    """Rows whose subject begins with this text as it is shown; found by the index."""
    wanted = text if may_read else _in_english(text)
    # What stands before a mask is shown as it is.
    start = text if may_read else wanted.partition(MASK[0])[0]
    if ":" not in start:
        start = wanted
    # The lower bound lets the index find the start, whatever the database does with a prefix.
    found = Q(subject__gte=start, subject__startswith=start) & ~Q(subject="")
    return found if may_read else found & Q(StartsWith(Masked("subject"), wanted))


def name_says(name: str, text: str, *, may_read: bool) -> bool:
    """Whether the name of a cause has this text in it as it is shown, in any case."""
    if may_read:
        return text.upper() in name.upper()
    return _in_english(text).upper() in mask_addresses(name).upper()


def _in_english(text: str) -> str:
    """The text with the mask as it is looked for; pages show it in the language of who looks."""
    return re.sub(re.escape(gettext("(address)")), lambda _found: MASK, text, flags=re.IGNORECASE)


def _may_say(column: str, text: str) -> Q:
    """What is true of every row that shows the text, and costs little: most rows are masked in vain else.

    A piece between parentheses stands in the row as it is where it is shown, unless it is one of the mask.
    """
    pieces = [
        piece
        for piece in _PARENTHESES.split(text)
        if piece.lower() not in MASK and piece.isascii() == text.isascii()
    ]
    return contains(column, max(pieces, key=len)) if pieces else Q()
