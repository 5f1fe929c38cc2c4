"""Whom jobs about settlements and people are about, and how much: asked by the job queue's pages."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connections, router
from django.db.models import DecimalField, F, Field, Model, QuerySet, TextField, UUIDField, Value
from django.http import HttpRequest
from django.utils.translation import ngettext

from jobqueue.admin import Concern, Groups, Total, sums_concerns, tells_concerns
from jobqueue.models import subject_of
from jobqueue.operating import grouped
from jobqueue.searching import has_key
from settlements.admin.amounts import shown_number
from settlements.admin.ways_to_people import may_see_people
from settlements.models import Settlement
from settlements.operating.rights import may

_USER: Final[Any] = get_user_model()
_LABEL: Final = Settlement._meta.label_lower
_LABEL_OF_PEOPLE: Final = _USER._meta.label_lower
_SETTLEMENTS: Final = """
    SELECT about.name, about.jobs, record.payer_id AS one, record.payee_id AS other, record.amount,
        record.amount_currency AS currency
    FROM about JOIN {table} record ON {key} = {text}
    WHERE {is_named}
"""
_PEOPLE: Final = """
    SELECT about.name, about.jobs, record.{column} AS one, record.{column} AS other,
        CAST(NULL AS numeric) AS amount, CAST(NULL AS varchar(3)) AS currency
    FROM about JOIN {table} record ON {key} = {text}
    WHERE {is_named}
"""
# Where the currency is NULL, the row is about users: whoever is both, is one of the people.
_SUMS: Final = """
    WITH about AS ({groups}), known AS ({known})
    SELECT name, 1 AS are_people, NULL AS currency, COUNT(*), 0 FROM (
        SELECT DISTINCT name, one FROM known UNION SELECT DISTINCT name, other FROM known
    ) people GROUP BY name
    UNION ALL
    SELECT name, 0, currency, SUM({amount}), SUM(jobs) FROM known GROUP BY name, currency
"""
_THOUSANDTHS: Final = Decimal("0.001")


# Of single records --------------------------------------------------------------------------------


def _payers_and_payees(number: int) -> str:
    """Whom the number counts: a letter about their settlement may go to one of the two alone."""
    text = ngettext("%(number)s payer or payee", "%(number)s payers and payees", number)
    return text % {"number": grouped(number)}


@tells_concerns
def of_records(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
    """Payer, payee and amount of each settlement and each user among these, for who may see them."""
    asked = []
    if may(request, "view", Settlement) and (keys := _known(map(key_of, subjects))):
        asked.append(_settlements(keys))
    if may_see_people(request) and (keys := _known(map(_key_of_person, subjects))):
        asked.append(_people(keys))
    return dict(_told(row) for row in _rows(asked))


def _known(keys: Iterator[Any]) -> list[Any]:
    return [key for key in keys if key is not None]


def _settlements(keys: list[uuid.UUID]) -> QuerySet[Any, Any]:
    rows = Settlement.objects.filter(has_key(keys, router.db_for_read(Settlement)))
    return rows.order_by().values_list("pk", "payer_id", "payee_id", "amount", "amount_currency")


def _people(keys: list[Any]) -> QuerySet[Any, Any]:
    """As if each was the payer of no settlement: so both kinds are read by one statement."""
    rows = _USER._base_manager.filter(has_key(keys, router.db_for_read(_USER)))
    nothing = {
        "no_settlement": Value(None, output_field=UUIDField()),
        "no_payee": Value(None, output_field=TextField()),
        "no_amount": Value(None, output_field=DecimalField()),
        "no_currency": Value(None, output_field=TextField()),
    }
    found: QuerySet[Any, Any] = rows.order_by().annotate(**nothing, person=F("pk"))
    return found.values_list("no_settlement", "person", "no_payee", "no_amount", "no_currency")


def _rows(asked: list[QuerySet[Any, Any]]) -> Iterator[tuple[Any, ...]]:
    """By one statement, where they are in one database."""
    if len({rows.db for rows in asked}) == 1:
        first, *others = asked
        asked = [first.union(*others, all=True)] if others else asked
    for rows in asked:
        yield from rows


def _told(row: tuple[Any, ...]) -> tuple[str, Concern]:
    key, person, payee, amount, currency = row
    if key is None:
        return subject_of(_USER(pk=person)), Concern(frozenset({person}))
    people, amounts = frozenset({person, payee}), ((currency, shown_number(amount, currency)),)
    return subject_of(Settlement(pk=key)), Concern(people, amounts, _payers_and_payees)


# Added up -----------------------------------------------------------------------------------------


@sums_concerns(of_records)
def sums_of_records(groups: Groups, request: HttpRequest) -> dict[str, Total] | None:
    """The same of any number of records, by one statement; None where jobs are in another database."""
    asked: dict[type[Model], str] = {}
    if may(request, "view", Settlement):
        asked[Settlement] = _SETTLEMENTS
    if may_see_people(request):
        asked[_USER] = _PEOPLE
    if any(router.db_for_read(model) != groups.using for model in asked):
        return None
    return _totals(asked, groups) if asked else {}


def _totals(asked: dict[type[Model], str], groups: Groups) -> dict[str, Total]:
    statement, parameters = groups.numbers(*(model._meta.label_lower for model in asked))
    people: dict[str, int] = {}
    jobs: dict[str, int] = {}
    amounts: dict[str, list[tuple[str, Decimal]]] = {}
    with_users = set()
    with connections[groups.using].cursor() as cursor:
        cursor.execute(_sums(statement, asked, groups.using), parameters)
        for name, are_people, currency, value, number in cursor.fetchall():
            jobs[name] = jobs.get(name, 0) + int(number)
            if are_people:
                people[name] = int(value)  # a Decimal, beside amounts
            elif currency is None:
                with_users.add(name)
            else:
                amounts.setdefault(name, []).append((currency, shown_number(_exact(value), currency)))
    return {
        name: Total(
            number,
            tuple(amounts.get(name, ())),
            jobs=jobs[name],
            said=None if name in with_users else _payers_and_payees,
        )
        for name, number in people.items()
    }


def _sums(statement: str, asked: dict[type[Model], str], using: str) -> str:
    """The statement; SQLite adds up fractions exactly only as whole numbers."""
    is_postgresql = connections[using].vendor == "postgresql"
    return _SUMS.format(
        groups=statement,
        known=" UNION ALL ".join(text.format(**_joined(model, using)) for model, text in asked.items()),
        amount="amount" if is_postgresql else "CAST(ROUND(amount * 1000) AS INTEGER)",
    )


def _joined(model: type[Model], using: str) -> dict[str, str]:
    """How its rows are joined with the subjects that name them; SQLite keeps UUIDs without hyphens."""
    quoted = connections[using].ops.quote_name
    column = quoted(str(model._meta.pk.column))
    label = f"{model._meta.label_lower}:"
    key, text = f"record.{column}", f"substr(about.subject, {len(label) + 1})"
    if connections[using].vendor == "postgresql":
        key = f"{key}::text"
    elif isinstance(_field_of_key(model), UUIDField):
        text = f"replace({text}, '-', '')"
    return {
        "table": quoted(model._meta.db_table),
        "column": column,
        "key": key,
        "text": text,
        "is_named": f"substr(about.subject, 1, {len(label)}) = '{label}'",
    }


def _exact(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else value * _THOUSANDTHS


# Keys ---------------------------------------------------------------------------------------------


def key_of(subject: str) -> uuid.UUID | None:
    """The key of the settlement that a job is about, if its subject names one."""
    label, _colon, key = subject.partition(":")
    if label == _LABEL:
        with suppress(ValueError):
            return uuid.UUID(key)
    return None


def _key_of_person(subject: str) -> Any:
    """The key of the user that a job is about, if its subject names one: as the database can hold it."""
    label, _colon, text = subject.partition(":")
    if label == _LABEL_OF_PEOPLE:
        field = _field_of_key(_USER)
        with suppress(ValidationError, ValueError, TypeError):
            key = field.to_python(text)
            field.run_validators(key)
            return key
    return None


def _field_of_key(model: type[Model]) -> Field[Any, Any]:
    """The primary key; that of the parent, where it is the key of one."""
    field: Any = model._meta.pk
    while field.is_relation:
        field = field.target_field
    found: Field[Any, Any] = field
    return found
