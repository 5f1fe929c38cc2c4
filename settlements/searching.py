"""What the search of jobs finds of this app: people by name and address, settlements and payments."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from operator import and_, or_
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Exists, F, Model, Q, QuerySet, Value
from django.db.models.functions import Concat
from django.utils.text import smart_split, unescape_string_literal
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.operating import mask_address
from jobqueue.searching import (
    FoundRecord,
    FoundRecords,
    RecordPage,
    RecordSource,
    contains,
    read_together,
    register_source,
)
from settlements.models import Payment, Settlement

VIEW_PERSON: Final = "settlements.view_person"
"""Finds people and opens the page of their letters. Who may see the users of the site may do so as well."""
LETTERS: Final = RecordPage("settlements_person_letters", ("settlements.view_emaildelivery",))
"""The page of a person: what was sent and why something was not sent; to who may see jobs what will come."""
Searches = Sequence[Sequence[str]]
"""What is looked for at once: each search is a list of words."""
_FEWEST_DIGITS: Final = 8
_DIGITS: Final = 32
_FULL_NAME: Final = ("first_name", "last_name")
_MOST_OF_A_PERSON: Final = 100


def register() -> None:
    """Let every search of jobs look here."""
    user = get_user_model()._meta
    see_people = (VIEW_PERSON, f"{user.app_label}.view_{user.model_name}")
    for source in (
        RecordSource("settlements.people", _("People"), see_people, find_people, people_with_addresses),
        RecordSource(
            "settlements.settlements", _("Settlements"), "settlements.view_settlement", find_settlements
        ),
        RecordSource("settlements.payments", _("Payments"), "settlements.view_payment", find_payments),
    ):
        register_source(source)


def with_key(text: str, column: str = "pk") -> Q | None:
    """Rows whose UUID is this, or begins with these eight digits or more; None if that can be no key."""
    keys = _keys_of(text)
    return Q(**{f"{column}__range": keys}) if keys is not None else None


def with_subject(text: str, model: type[Model], column: str) -> Q | None:
    """The same of a column that names a record as `app.model:key`."""
    keys = _keys_of(text)
    subjects = keys and tuple(f"{model._meta.label_lower}:{key}" for key in keys)
    return Q(**{f"{column}__range": subjects}) if subjects else None


def _keys_of(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and the last key that begin so."""
    digits = text.strip().lower().replace("-", "")
    if not _FEWEST_DIGITS <= len(digits) <= _DIGITS or not set(digits) <= set("0123456789abcdef"):
        return None
    first, last = (uuid.UUID(digits.ljust(_DIGITS, digit)) for digit in "0f")
    return first, last


# People -------------------------------------------------------------------------------------------


def find_people(searches: Searches, most: int) -> list[list[FoundRecord]]:
    """People by their names and addresses."""
    users, columns = get_user_model()._default_manager, _columns_of_people()
    conditions = [[_names_person(word, columns) for word in words] for words in searches]
    found = read_together([users.filter(*every).order_by("-pk")[:most] for every in conditions])
    return [_as_found(*one) for one in zip(found, _settlements_of(found), strict=True)]


def people_with_addresses(addresses: Sequence[str]) -> list[FoundRecords]:
    """The people with exactly this address, in any case."""
    users, name = get_user_model()._default_manager, get_user_model().get_email_field_name()
    people = [users.filter(**{f"{name}__iexact": address}).order_by("-pk") for address in addresses]
    found = read_together([rows[: _MOST_OF_A_PERSON + 1] for rows in people])
    return [
        FoundRecords([_person(one) for one in rows[:_MOST_OF_A_PERSON]], len(rows) > _MOST_OF_A_PERSON)
        for rows in found
    ]


def _names_person(text: str, columns: Sequence[str]) -> Q:
    """People who have the text in one of the columns; or in their first and last name, in either order."""
    condition = _in_any(text, columns)
    parts = text.split()
    if len(parts) > 1 and set(_FULL_NAME) <= set(columns):
        # Names are put together only where each part of the text stands in one of them.
        each = reduce(and_, (_in_any(part, _FULL_NAME) for part in parts))
        condition |= each & (_in_names(parts, _FULL_NAME) | _in_names(parts, _FULL_NAME[::-1]))
    return condition


def _in_names(parts: Sequence[str], names: Sequence[str]) -> Q:
    return contains(Concat(names[0], Value(" "), names[1]), " ".join(parts))


def _columns_of_people() -> list[str]:
    """What the users of this project have of these, whatever its model of users is."""
    user = get_user_model()
    return [
        name
        for name in dict.fromkeys((user.USERNAME_FIELD, user.get_email_field_name(), *_FULL_NAME))
        if _has_column(user, name)
    ]


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False


def _as_found(people: Sequence[Any], settlements: Sequence[Settlement]) -> list[FoundRecord]:
    """The people with the newest settlements of each, of those that were read for all of them."""
    keys = {person.pk for person in people}
    found: dict[Any, list[Settlement]] = defaultdict(list)
    for settlement in settlements:
        for key in {settlement.payer_id, settlement.payee_id} & keys:
            if len(found[key]) <= _MOST_OF_A_PERSON:
                found[key].append(settlement)
    is_cut = len(settlements) > _MOST_OF_A_PERSON * len(keys)
    rows = [_person(person, found[person.pk], is_cut=is_cut) for person in people]
    named = Counter(row.title.casefold() for row in rows)
    return [_told_apart(row) if named[row.title.casefold()] > 1 else row for row in rows]


def _told_apart(found: FoundRecord) -> FoundRecord:
    """One of several people of the same name, with what others of the name have not."""
    person: Any = found.record
    address = getattr(person, get_user_model().get_email_field_name(), "")
    others = [text for text in (person.get_username(), address and mask_address(address)) if text]
    return replace(found, title=f"{found.title} ({', '.join(others)})")


def _person(person: Any, settlements: Sequence[Settlement] = (), *, is_cut: bool = False) -> FoundRecord:
    """A person with the settlements that were read, one more than are looked at."""
    return FoundRecord(
        record=person,
        title=str(person.get_full_name() or person.get_username()),
        related=settlements[:_MOST_OF_A_PERSON],
        is_cut=is_cut or len(settlements) > _MOST_OF_A_PERSON,
        arguments={"user_id": person.pk},
        page=LETTERS,
    )


def _settlements_of(found: Sequence[Sequence[Any]]) -> list[list[Settlement]]:
    """For each of these lists of people their newest settlements, one more than are looked at."""
    asked = []
    for people in found:
        keys = [person.pk for person in people]
        rows = Settlement.objects.filter(Q(payer__in=keys) | Q(payee__in=keys)).order_by("-created_at")
        asked.append(rows.only("pk", "payer_id", "payee_id")[: _MOST_OF_A_PERSON * len(keys) + 1])
    return read_together(asked)


# Records ------------------------------------------------------------------------------------------


def find_settlements(searches: Searches, most: int) -> list[list[FoundRecord]]:
    """Settlements by their own id or, if none has that, by what they are for and by who owes whom."""
    asked: list[QuerySet[Settlement]] = []
    for words in searches:
        by_key = Settlement.objects.filter(_key_of(words)).order_by("-created_at")
        # The database looks for the words only where no key is found.
        by_words = Settlement.objects.filter(~Exists(by_key.order_by()), *map(says, words))
        asked += [by_key[:most], by_words.order_by("-created_at")[:most]]
    found = read_together(asked)
    both = zip(found[::2], found[1::2], strict=True)
    return [[FoundRecord(row, str(row)) for row in [*by_key, *by_words]] for by_key, by_words in both]


def _key_of(words: Sequence[str]) -> Q:
    """The condition of the key that a search may be; nothing meets it if that can be none."""
    key = with_key(words[0]) if len(words) == 1 else None
    return Q(pk__in=[]) if key is None else key


def words_of(text: str) -> Iterator[str]:
    """The words of a search, as Django's lists take them: quotes keep spaces together."""
    for word in smart_split(text):
        is_quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
        yield unescape_string_literal(word) if is_quoted else word


def says(word: str) -> Q:
    """Settlements for that, or between people of that name, looked for within: a join would read all."""
    user = get_user_model()
    people = user._default_manager.filter(contains(user.USERNAME_FIELD, word))
    keys = people.order_by().values("pk")
    return contains("description", word) | Q(payer__in=keys) | Q(payee__in=keys)


def find_payments(searches: Searches, most: int) -> list[list[FoundRecord]]:
    """Payments by their own id; their jobs are those of their settlement."""
    rows = Payment.objects.annotate(described=F("settlement__description")).order_by("-created_at")
    found = read_together([rows.filter(_key_of(words))[:most] for words in searches])
    return [[_payment(row) for row in payments] for payments in found]


def _payment(payment: Payment) -> FoundRecord:
    """A payment that was read with what its settlement is for: that is all that its name needs."""
    described = vars(payment).pop("described")
    payment.settlement = Settlement(pk=payment.settlement_id, description=described)
    return FoundRecord(payment, payment_in_words(payment), related=[payment.settlement])


def payment_in_words(payment: Payment) -> str:
    """Its amount and status, and of which settlement it is."""
    words = {"payment": payment, "settlement": payment.settlement}
    return gettext("%(payment)s of %(settlement)s") % words


def _in_any(text: str, columns: Sequence[str]) -> Q:
    """Rows that have the text in one of the columns."""
    return reduce(or_, (contains(name, text) for name in columns))
