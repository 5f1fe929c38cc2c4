"""What an app lets be found besides jobs: its people and records, by one small interface.

An app says in its `AppConfig.ready`:

    register_source(RecordSource(
        name="shop.orders", title=_("Orders"), permission="shop.view_order", find=find_orders,
    ))

where `find_orders(searches, most)` returns for each search, which is a list of words, at most so many
`FoundRecord`s that match every one of its words:

    def find_orders(searches, most):
        named = [Order.objects.filter(has_words(words)).order_by("-pk")[:most] for words in searches]
        return [[FoundRecord(order, str(order)) for order in orders] for orders in read_together(named)]

Text without a name before it, and `about:`, are looked for there; the jobs about what is found are found with
it. Somebody may type ten such words (`about:anna -about:bert …`), each a search of its own: a source gets all
of them at once, and reads them by one statement with `read_together`. One record more is asked for than is
looked at, so that a list of jobs says when it is not of all that match; a source that looks at fewer of its
rows says so itself, by `FoundRecords(…, is_cut=True)` in place of a list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from django.db import models

from jobqueue.exceptions import DuplicateSource
from jobqueue.models import subject_of
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

MOST_RECORDS = 100
"""Records of one source whose jobs are looked for."""


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of the admin that tells of a record what its own does not, and goes before that."""

    name: str
    """The name of its address, which takes the key of the record: `"shop_customer_orders"`."""
    permissions: tuple[str, ...] = ()
    """What it takes besides what finds the record."""


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record that a search found, and which jobs are about it."""

    record: models.Model
    title: str
    related: Sequence[models.Model] = ()
    """Records whose jobs are looked for too: the orders of a customer."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that name the record in payloads, `{"user_id": 5}`: looked at for who may read payloads."""
    page: RecordPage | None = None
    """Where the admin leads to from it; its own page, if none is named or the user may not see that one."""
    is_cut: bool = False
    """Whether more records are related to it than are named here."""

    @property
    def subjects(self) -> list[str]:
        """The subjects of the jobs about it."""
        return [subject_of(record) for record in (self.record, *self.related)]


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """What a source found; `is_cut` if there may be records that match beyond these."""

    records: Sequence[FoundRecord]
    is_cut: bool = False

    def __iter__(self) -> Iterator[FoundRecord]:
        return iter(self.records)

    @classmethod
    def of(cls, found: Iterable[FoundRecord], most: int) -> Self:
        """No more of what was found than so many."""
        records = list(found)
        says_so = isinstance(found, FoundRecords) and found.is_cut
        return cls(records[:most], says_so or len(records) > most)


@dataclass(frozen=True, slots=True)
class RecordSource:
    """Where an app looks for its records."""

    name: str
    """`"<app>.<records>"`, once in a project."""
    title: Any
    """What the records are called where they are listed, translatable."""
    permission: str | tuple[str, ...]
    """What a user must be allowed to find them, `"shop.view_order"`; of several one is enough."""
    find: Callable[[Sequence[Sequence[str]], int], Iterable[Iterable[FoundRecord]]]
    """For each of these searches the records that match every one of its words, at most so many, the newest
    first."""
    with_addresses: Callable[[Sequence[str]], Iterable[Iterable[FoundRecord]]] | None = None
    """For each of these e-mail addresses the people who have exactly that one, for `email:`; of their records
    `arguments` alone is used."""

    def is_for(self, user: MaySee) -> bool:
        """Whether this user may find them."""
        return any(user.has_perm(one) for one in self.permissions)

    @property
    def permissions(self) -> tuple[str, ...]:
        """What a user must be allowed to find them: one of these is enough."""
        return (self.permission,) if isinstance(self.permission, str) else self.permission


class MaySee(Protocol):
    """Whoever asks: a user of Django."""

    def has_perm(self, perm: str) -> bool:
        """Whether this permission is given."""


_sources: dict[str, RecordSource] = {}


def register_source(source: RecordSource) -> None:
    """Let every search look there. Raises DuplicateSource if another has that name."""
    if _sources.setdefault(source.name, source) != source:
        raise DuplicateSource(f"a source of records called {source.name!r} is registered already")


def unregister_source(name: str) -> None:
    """Look there no more."""
    _sources.pop(name, None)


def sources_for(user: MaySee) -> list[RecordSource]:
    """Where this user may look."""
    return [source for source in _sources.values() if source.is_for(user)]


def sources_hidden_from(user: MaySee) -> list[RecordSource]:
    """Where this user may not look."""
    return [source for source in _sources.values() if not source.is_for(user)]


def records_with(
    searches: Sequence[Sequence[str]], user: MaySee, most: int = MOST_RECORDS
) -> list[dict[str, FoundRecords]]:
    """For each search what matches every one of its words, by the name of its source."""
    found = {source.name: _found_in(source, searches, most) for source in sources_for(user)}
    return [{name: answers[place] for name, answers in found.items()} for place in range(len(searches))]


def _found_in(source: RecordSource, searches: Sequence[Sequence[str]], most: int) -> list[FoundRecords]:
    """What the source found for each; nothing where a row of its app keeps that from being read."""
    if not searches:
        return []
    try:
        found = [FoundRecords.of(one, most) for one in source.find(searches, most + 1)]
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        if len(searches) > 1:  # that row may keep no other search from being answered
            return [one for search in searches for one in _found_in(source, [search], most)]
        logger.warning("nothing is found in %s: %s", source.name, type(error).__name__)
        return [FoundRecords([])]
    return _one_for_each(searches, found, source)


def _one_for_each(
    asked: Sequence[Any], found: list[FoundRecords], source: RecordSource
) -> list[FoundRecords]:
    if len(found) != len(asked):
        raise TypeError(f"{source.name} was asked {len(asked)} questions at once and answered {len(found)}")
    return found


def title_of(name: str) -> str:
    """What the records of a source are called."""
    return str(_sources[name].title)


def people_with(addresses: Sequence[str], user: MaySee) -> list[FoundRecords]:
    """For each address the people whom the user may see and who have it."""
    found = [
        _one_for_each(
            addresses,
            [FoundRecords.of(one, MOST_RECORDS) for one in source.with_addresses(addresses)],
            source,
        )
        for source in sources_for(user)
        if source.with_addresses and addresses
    ]
    return [_together([answers[place] for answers in found]) for place in range(len(addresses))]


def _together(found: Sequence[FoundRecords]) -> FoundRecords:
    return FoundRecords([one for some in found for one in some], any(some.is_cut for some in found))
