"""Columns of text as they are shown to who may not read payloads: without addresses, in statements too.

On SQLite this is `mask_addresses` itself. PostgreSQL has no expression that is the same in every text, for
the first way to read an address goes before the longest there. But where every address is one run of
characters without quotes or comments, both are the same, and nearly all are: these are masked exactly. Of any
other text only that is left which stands behind the addresses in their lines, and in lines without any; so
nothing that is hidden is left, and some of what is shown is not.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import F, Func, TextField

from jobqueue.masking import AT_SIGNS, MASK, mask_addresses

_FUNCTION: Final = "jobqueue_masked"
_CUT: Final = "\x01"
"""What stands for that which is left out where a text is not masked exactly: no search can ask for it."""
_LONGEST: Final = 320
"""Characters without a space among which an address is read from its beginning."""

# Written out: what PostgreSQL takes for a space goes by the locale of the database.
_SPACES: Final = "".join(f"\\u{code:04x}" for code in range(sys.maxunicode) if chr(code).isspace())
_WORD: Final = rf'[^{_SPACES}<>"(),:;\[\]]'
_PLAIN: Final = rf"""[^{_SPACES}<>"'(),:;\[\]]"""


def _in_any_case(text: str) -> str:
    return "".join(
        f"[{one.lower()}{one.upper()}]" if one.isascii() and one.isalpha() else re.escape(one) for one in text
    )


def _one_of(signs: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(_in_any_case, signs))})"


def _masked_exactly(sign: str) -> str:
    """An address that is one run of characters: from its beginning through the last at-sign in it."""
    return f"{_PLAIN}{_WORD}*{sign}{_PLAIN}+"


def _not_exactly(sign: str) -> str:
    """What makes a text one that has, or may have, other addresses than such.

    An at-sign behind a comment or quotes; before a comment, brackets or a space; in a domain with a comment.
    """
    return rf"""\){_WORD}*{sign}|"(?:\.{_WORD}*)?{sign}|{sign}(?:{_PLAIN}*\(|[\[ \t])"""


# Those with a semicolon are no part of a run of characters.
_ANY_SIGN: Final = _one_of(AT_SIGNS)
_IN_A_RUN: Final = _one_of(tuple(sign for sign in AT_SIGNS if ";" not in sign))
_ACROSS: Final = _one_of(tuple(sign for sign in AT_SIGNS if ";" in sign))
_OTHER_BEGINNINGS: Final = sorted({sign[0] for sign in AT_SIGNS} - {"@"})
# Most texts have the one sign alone, and to look for this takes half as long.
_USUAL: Final = (_not_exactly("@"), _masked_exactly("@"))
_UNUSUAL: Final = (f"{_not_exactly(_IN_A_RUN)}|{_ACROSS}", _masked_exactly(_IN_A_RUN))
_THROUGH_ADDRESSES: Final = rf"[^\n]*{_ANY_SIGN}(?:\([^\n]*\))?[ \t]*[^{_SPACES}]*"


class Masked(Func):
    """A column as it is shown to who may not read payloads; on PostgreSQL in few cases less of it."""

    output_field = TextField()

    def __init__(self, column: str) -> None:
        super().__init__(F(column))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """By Python, from bytes: SQLite keeps any in a text, and gives no function those that are none."""
        return self.as_sql(
            compiler, connection, function=_FUNCTION, template="%(function)s(CAST(%(expressions)s AS BLOB))"
        )

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """By regular expressions without any class of the locale."""
        column, parameters = compiler.compile(self.get_source_expressions()[0])
        assert not parameters
        text = f'({column})::text COLLATE "C"'
        is_unusual = " OR ".join(f"strpos({text}, %s) > 0" for _ in _OTHER_BEGINNINGS)
        usual, usual_values = _masking(text, *_USUAL)
        unusual, unusual_values = _masking(text, *_UNUSUAL)
        return (
            f"(CASE WHEN {is_unusual} THEN {unusual} WHEN strpos({text}, '@') = 0 THEN {text}"
            f' ELSE {usual} END COLLATE "default")',
            [*_OTHER_BEGINNINGS, *unusual_values, *usual_values],
        )


def _masking(text: str, odd: str, address: str) -> tuple[str, list[Any]]:
    longest = f"(SELECT MAX(char_length(run)) FROM unnest(string_to_array({text}, ' ')) AS run)"
    is_long = f"(char_length({text}) >= {_LONGEST} AND {longest} >= {_LONGEST})"
    return (
        f"CASE WHEN {text} ~ %s OR {is_long} THEN regexp_replace({text}, %s, %s, 'g')"
        f" ELSE regexp_replace({text}, %s, %s, 'g') END",
        [odd, _THROUGH_ADDRESSES, _CUT, address, MASK],
    )


def is_exact(using: str) -> bool:
    """Whether `Masked` leaves all that is shown, in every text."""
    return connections[using].vendor == "sqlite"


def listen() -> None:
    """Let every connection to SQLite know the function, in any thread, also those that are open already."""
    connection_created.connect(_teach, dispatch_uid=_FUNCTION)
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _teach(connection=connection)


def _teach(*, connection: BaseDatabaseWrapper, **_more: object) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function(_FUNCTION, 1, _masked, deterministic=True)


def _masked(value: object) -> str | None:
    """Never an error: it would be one of the whole search."""
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return mask_addresses(text)
