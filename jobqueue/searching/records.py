"""What the words of one search find of people and records: each source is asked once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from jobqueue.searching.conditions import processors_named
from jobqueue.searching.sources import (
    FoundRecord,
    FoundRecords,
    MaySee,
    RecordSource,
    people_with,
    records_with,
    sources_hidden_from,
)
from jobqueue.searching.words import Search


class Records:
    """What the words find, and whether more records may match than are looked at."""

    def __init__(self, search: Search, user: MaySee) -> None:
        self._search = search
        self._user = user
        self.is_cut = False

    def of(self, words: Sequence[str]) -> dict[str, list[FoundRecord]]:
        """What has every one of these words, by the names of the sources."""
        found = self._found[tuple(words)]
        self.is_cut |= any(one.is_cut or any(record.is_cut for record in one) for one in found.values())
        return {name: list(one) for name, one in found.items() if one.records}

    def subjects(self, words: Sequence[str]) -> list[str]:
        """What the jobs about these are about."""
        return subjects_of(self.of(words))

    def people(self, address: str) -> list[FoundRecord]:
        """The people who have exactly this address."""
        found = self._people[address]
        self.is_cut |= found.is_cut
        return list(found)

    @property
    def hidden(self) -> list[RecordSource]:
        """Where the words would be looked for too, if the user might see what is there."""
        is_for_all, is_for_people = any(_lookups(self._search)), bool(self._search.named("email"))
        return [
            source
            for source in sources_hidden_from(self._user)
            if is_for_all or (is_for_people and source.with_addresses)
        ]

    @cached_property
    def _found(self) -> dict[tuple[str, ...], dict[str, FoundRecords]]:
        asked = list(dict.fromkeys(_lookups(self._search)))
        return dict(zip(asked, records_with(asked, self._user), strict=True))

    @cached_property
    def _people(self) -> dict[str, FoundRecords]:
        asked = list(dict.fromkeys(word.value for word in self._search.named("email")))
        return dict(zip(asked, people_with(asked, self._user), strict=True))


def subjects_of(found: dict[str, list[FoundRecord]]) -> list[str]:
    """The subjects of all that was found."""
    return [subject for records in found.values() for one in records for subject in one.subjects]


def processors_and_others(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The texts that name processors, and the others, which then name records; none of either alone."""
    processors = [text for text in texts if processors_named(text)]
    others = [text for text in texts if text not in processors]
    return (processors, others) if processors and others else ([], [])


def _lookups(search: Search) -> Iterator[tuple[str, ...]]:
    """The words that are looked for in records, those together that a record must have together."""
    for word in search:
        if word.name == "about" or (not word.name and word.negated):
            yield (word.value,)
    for texts in (search.texts, processors_and_others(search.texts)[1]):
        if texts:
            yield tuple(texts)
