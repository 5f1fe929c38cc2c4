"""Whom failed jobs about settlements are about, and how much: asked by the job queue's pages."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from django.db import connections, router
from django.http import HttpRequest
from django.utils.translation import ngettext

from jobqueue.admin import Concern, Groups, Total, sums_concerns, tells_concerns
from jobqueue.models import subject_of
from jobqueue.operating import grouped
from jobqueue.searching import has_key
from settlements.admin.amounts import shown_number
from settlements.models import Settlement

_LABEL: Final = Settlement._meta.label_lower
_SUMS: Final = """
    WITH about AS ({groups}),
    known AS (
        SELECT about.name, record.payer_id, record.payee_id, record.amount, record.amount_currency
        FROM about JOIN {table} record ON {key} = {text}
    )
    SELECT name, NULL, COUNT(*) FROM (
        SELECT DISTINCT name, payer_id FROM known UNION SELECT DISTINCT name, payee_id FROM known
    ) people GROUP BY name
    UNION ALL
    SELECT name, amount_currency, SUM({amount}) FROM known GROUP BY name, amount_currency
"""
_THOUSANDTHS: Final = Decimal("0.001")


def _payers_and_payees(number: int) -> str:
    """Whom the number counts: a letter about their settlement may go to one of the two alone."""
    text = ngettext("%(number)s payer or payee", "%(number)s payers and payees", number)
    return text % {"number": grouped(number)}


@tells_concerns(people=_payers_and_payees)
def of_settlements(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
    """Payer, payee and amount of each settlement among these, for who may see settlements."""
    if not request.user.has_perm("settlements.view_settlement"):
        return {}
    keys = [key for key in map(key_of, subjects) if key is not None]
    if not keys:
        return {}
    rows = Settlement.objects.filter(has_key(keys, router.db_for_read(Settlement))).values_list(
        "pk", "payer_id", "payee_id", "amount", "amount_currency"
    )
    return {
        subject_of(Settlement(pk=key)): Concern(
            frozenset({payer, payee}), ((currency, shown_number(amount, currency)),)
        )
        for key, payer, payee, amount, currency in rows
    }


@sums_concerns(of_settlements)
def sums_of_settlements(groups: Groups, request: HttpRequest) -> dict[str, Total] | None:
    """The same of any number of settlements, by one statement; None where jobs are in another database."""
    if not request.user.has_perm("settlements.view_settlement"):
        return {}
    if router.db_for_read(Settlement) != groups.using:
        return None
    statement, parameters = groups.statement(_LABEL)
    people: dict[str, int] = {}
    amounts: dict[str, list[tuple[str, Decimal]]] = {}
    with connections[groups.using].cursor() as cursor:
        cursor.execute(_sums(statement, groups.using), parameters)
        for name, currency, value in cursor.fetchall():
            if currency is None:
                people[name] = int(value)  # a Decimal, beside amounts
            else:
                amounts.setdefault(name, []).append((currency, shown_number(_exact(value), currency)))
    return {name: Total(number, tuple(amounts.get(name, ()))) for name, number in people.items()}


def _sums(statement: str, using: str) -> str:
    """The statement; SQLite has keys without hyphens, and adds up fractions exactly only as whole numbers."""
    is_postgresql = connections[using].vendor == "postgresql"
    subject = f"substr(about.subject, {len(_LABEL) + 2})"
    return _SUMS.format(
        groups=statement,
        table=connections[using].ops.quote_name(Settlement._meta.db_table),
        key="record.id::text" if is_postgresql else "record.id",
        text=subject if is_postgresql else f"replace({subject}, '-', '')",
        amount="amount" if is_postgresql else "CAST(ROUND(amount * 1000) AS INTEGER)",
    )


def _exact(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else value * _THOUSANDTHS


def key_of(subject: str) -> uuid.UUID | None:
    """The key of the settlement that a job is about, if its subject names one."""
    label, _colon, key = subject.partition(":")
    if label == _LABEL:
        with suppress(ValueError):
            return uuid.UUID(key)
    return None
