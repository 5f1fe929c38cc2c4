"""What the search of jobs finds of this app: people by name and address, settlements and payments."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q
from django.utils.text import smart_split, unescape_string_literal
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.searching import FoundRecord, FoundRecords, RecordPage, RecordSource, register_source
from settlements.models import Payment, Settlement

VIEW_PERSON: Final = "settlements.view_person"
"""Finds people and opens the page of their letters. Who may see the users of the site may do so as well."""
LETTERS: Final = RecordPage("settlements_person_letters", ("settlements.view_emaildelivery",))
"""The page of a person: what was sent and why something was not sent; to who may see jobs what will come."""
_FEWEST_DIGITS: Final = 8
_DIGITS: Final = 32
_MOST_OF_A_PERSON: Final = 100


def register() -> None:
    """Let every search of jobs look here."""
    user = get_user_model()._meta
    see_people = (VIEW_PERSON, f"{user.app_label}.view_{user.model_name}")
    for source in (
        RecordSource("settlements.people", _("People"), see_people, find_people, people_with_address),
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


def find_people(words: Sequence[str], most: int) -> Iterable[FoundRecord]:
    """People by their names and addresses."""
    user = get_user_model()
    people = user._default_manager.filter(_every_word(words, _columns_of_people())).order_by("-pk")
    return _as_found(list(people[:most]))


def people_with_address(address: str) -> Iterable[FoundRecord]:
    """The people with exactly this address, in any case."""
    user = get_user_model()
    people = user._default_manager.filter(**{f"{user.get_email_field_name()}__iexact": address})
    found = list(people.order_by("-pk")[: _MOST_OF_A_PERSON + 1])
    return FoundRecords(_as_found(found[:_MOST_OF_A_PERSON]), len(found) > _MOST_OF_A_PERSON)


def _columns_of_people() -> list[str]:
    """What the users of this project have of these, whatever its model of users is."""
    user = get_user_model()
    return [
        name
        for name in dict.fromkeys(
            (user.USERNAME_FIELD, user.get_email_field_name(), "first_name", "last_name")
        )
        if _has_column(user, name)
    ]


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False


def _as_found(people: Sequence[Any]) -> list[FoundRecord]:
    settlements, is_cut = _settlements_of(people)
    return [
        FoundRecord(
            record=person,
            title=str(person.get_full_name() or person.get_username()),
            related=settlements[person.pk][:_MOST_OF_A_PERSON],
            is_cut=is_cut or len(settlements[person.pk]) > _MOST_OF_A_PERSON,
            arguments={"user_id": person.pk},
            page=LETTERS,
        )
        for person in people
    ]


def _settlements_of(people: Sequence[Any]) -> tuple[dict[Any, list[Settlement]], bool]:
    """The newest settlements of each person, one more than are looked at; whether older were not read."""
    keys = [person.pk for person in people]
    found: dict[Any, list[Settlement]] = defaultdict(list)
    rows = Settlement.objects.filter(Q(payer__in=keys) | Q(payee__in=keys)).order_by("-created_at")
    most = _MOST_OF_A_PERSON * len(keys)
    read = list(rows.only("pk", "payer_id", "payee_id")[: most + 1])
    for settlement in read:
        for key in {settlement.payer_id, settlement.payee_id} & set(keys):
            if len(found[key]) <= _MOST_OF_A_PERSON:
                found[key].append(settlement)
    return found, len(read) > most


# Records ------------------------------------------------------------------------------------------


def find_settlements(words: Sequence[str], most: int) -> Iterable[FoundRecord]:
    """Settlements by their own id, by what they are for and by who owes whom."""
    key = with_key(words[0]) if len(words) == 1 else None
    rows = Settlement.objects.order_by("-created_at")
    found = list(rows.filter(key)[:most]) if key is not None else []
    return [FoundRecord(row, str(row)) for row in found or rows.filter(*map(says, words))[:most]]


def words_of(text: str) -> Iterator[str]:
    """The words of a search, as Django's lists take them: quotes keep spaces together."""
    for word in smart_split(text):
        is_quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
        yield unescape_string_literal(word) if is_quoted else word


def says(word: str) -> Q:
    """Settlements for that, or between people of that name, looked for within: a join would read all."""
    user = get_user_model()
    people = user._default_manager.filter(**{f"{user.USERNAME_FIELD}__icontains": word})
    keys = people.order_by().values("pk")
    return Q(description__icontains=word) | Q(payer__in=keys) | Q(payee__in=keys)


def find_payments(words: Sequence[str], most: int) -> Iterable[FoundRecord]:
    """Payments by their own id; their jobs are those of their settlement."""
    key = with_key(words[0]) if len(words) == 1 else None
    if key is None:
        return []
    rows = Payment.objects.filter(key).select_related("settlement").order_by("-created_at")
    return [FoundRecord(row, payment_in_words(row), related=[row.settlement]) for row in rows[:most]]


def payment_in_words(payment: Payment) -> str:
    """Its amount and status, and of which settlement it is."""
    words = {"payment": payment, "settlement": payment.settlement}
    return gettext("%(payment)s of %(settlement)s") % words


def _every_word(words: Sequence[str], columns: Sequence[str]) -> Q:
    """Rows that have each word in one of the columns."""
    return reduce(
        and_, (reduce(or_, (Q(**{f"{name}__icontains": word}) for name in columns)) for word in words)
    )
