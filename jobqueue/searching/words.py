"""The words of a search, as values; each prints as what it was read from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LONGEST_SEARCH: Final = 200
"""Characters of a search."""
MOST_WORDS: Final = 10
"""Words of a search, as they are counted between spaces."""

NAMES: Final = (
    *("id", "state", "queue", "processor", "about", "email", "error", "worker", "since", "until"),
    *("bulk", "args"),
)
"""What may stand before a colon; `args` is followed by the name of an argument: `args.user_id:5`."""
NOT: Final = "NOT"

# What can stand without quotes; in plain text a colon would name a word.
_PLAIN_TEXT = re.compile(r"[^\s\"\\:-][^\s\"\\:]*")
_PLAIN_VALUE = re.compile(r"[^\s\"\\]+")


@dataclass(frozen=True, slots=True)
class Word:
    """One condition: `state:failed`, `args.user_id:5`, or with no name the text itself.

    `name` is one of NAMES or empty; `path` are the names that lead to an argument, of `args` alone; jobs
    that meet a `negated` one are left out.
    """

    name: str
    value: str
    negated: bool = False
    path: tuple[str, ...] = ()

    @property
    def before(self) -> str:
        """What stands before its value: `state:`, `args.user_id:`, or nothing."""
        return ".".join((self.name, *self.path)) + ":" if self.name else ""

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        return f"{sign}{self.before}{self._shown_value}"

    @property
    def _shown_value(self) -> str:
        plain = _PLAIN_VALUE if self.name else _PLAIN_TEXT
        if plain.fullmatch(self.value) and (self.name or self.value != NOT):
            return self.value
        return quoted(self.value)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: jobs that meet every word."""

    words: tuple[Word, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.words))

    def __iter__(self) -> Iterator[Word]:
        return iter(self.words)

    def named(self, *names: str) -> list[Word]:
        """Its words of these names."""
        return [word for word in self.words if word.name in names]

    @property
    def texts(self) -> list[str]:
        """What is looked for in people, records, ids and causes at once."""
        return [word.value for word in self.words if not word.name and not word.negated]

    def without(self, word: Word) -> Search:
        """The same without one word."""
        left = list(self.words)
        left.remove(word)
        return Search(tuple(left))


def quoted(text: str) -> str:
    """`text` between quotes, so that it is read as one value."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
