"""Notes what happened and fits nowhere, one row each, for operators to look at and close with a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from settlements.models import Discrepancy, Payment, Settlement

logger = logging.getLogger("settlements.discrepancies")

Step = Callable[[], None]


GONE = Discrepancy.GONE


def note(settlement: Settlement, paid: Decimal, using: str) -> None:
    """Look at a settlement whose payments count `paid`; note money that is too much or in another currency.

    To be called with the settlement's row locked. What was seen and closed is noted again only if it is
    another amount now, or was over meanwhile.
    """
    for step in _steps(settlement, paid, using):
        step()


def are_noted(settlement: Settlement, paid: Decimal, using: str) -> bool:
    """Whether `note` would find nothing to write."""
    return not any(True for _step in _steps(settlement, paid, using))


def note_contradiction(payment: Payment, text: str, using: str) -> None:
    """The provider's answer is about another payment, amount or currency than ours.

    What was seen and closed is noted again only if the provider says something else now.
    """
    detail = text[:500]
    rows = Discrepancy.objects.using(using).filter(payment=payment, kind=Discrepancy.Kind.CONTRADICTION)
    if rows.open().update(detail=detail) or rows.filter(detail=detail).exists():
        return
    _open(
        using,
        kind=Discrepancy.Kind.CONTRADICTION,
        settlement_id=payment.settlement_id,
        payment=payment,
        amount=payment.amount.amount,
        currency=str(payment.amount.currency),
        detail=detail,
    )


def _steps(settlement: Settlement, paid: Decimal, using: str) -> Iterator[Step]:
    """What is to be written, so that the list says what is so."""
    is_cancelled = settlement.status == Settlement.Status.CANCELLED
    overpaid = Decimal(0) if is_cancelled else settlement.standing(paid).overpaid
    yield from _note_sum(settlement, Discrepancy.Kind.CANCELLED, paid if is_cancelled else Decimal(0), using)
    yield from _note_sum(settlement, Discrepancy.Kind.OVERPAID, overpaid, using)
    yield from _note_currencies(settlement, using)


def _note_sum(settlement: Settlement, kind: str, amount: Decimal, using: str) -> Iterator[Step]:
    rows = Discrepancy.objects.using(using).filter(settlement_id=settlement.pk, kind=kind)
    seen = {"amount": amount, "currency": str(settlement.amount.currency), "detail": "" if amount else GONE}
    yield from _note(rows, seen, using, kind=kind, settlement_id=settlement.pk)


def _note_currencies(settlement: Settlement, using: str) -> Iterator[Step]:
    """Completed payments in another currency than the settlement's count nothing: somebody must look."""
    currency = str(settlement.amount.currency)
    payments = Payment.objects.using(using).filter(settlement_id=settlement.pk)
    completed = payments.filter(status=Payment.Status.COMPLETED)
    foreign = {payment.pk: payment for payment in completed.exclude(amount_currency=currency)}
    noted = Discrepancy.objects.using(using).filter(kind=Discrepancy.Kind.CURRENCY)
    for row in noted.filter(settlement_id=settlement.pk).exclude(payment__in=foreign).exclude(detail=GONE):
        yield partial(_write, row, {"amount": Decimal(0), "detail": GONE}, using)
    for payment in foreign.values():
        seen = {
            "amount": payment.amount.amount,
            "currency": str(payment.amount.currency),
            "detail": f"the settlement is in {currency}",
            "settlement_id": settlement.pk,
        }
        about = {"kind": Discrepancy.Kind.CURRENCY, "payment": payment}
        yield from _note(noted.filter(payment=payment), seen, using, **about)


def _note(rows: QuerySet[Discrepancy], seen: dict[str, Any], using: str, **about: Any) -> Iterator[Step]:
    """Write what is seen (an amount of 0: nothing) into the open row; or open one, unless it was closed."""
    latest = rows.order_by("-id").first()
    if latest is None or (not latest.is_open and seen["amount"] and not _says(latest, seen)):
        if seen["amount"]:
            yield partial(_open, using, **{**about, **seen})
    elif not _says(latest, seen):
        yield partial(_write, latest, seen, using)


def _says(row: Discrepancy, seen: dict[str, Any]) -> bool:
    if not seen["amount"]:
        return row.detail == GONE
    return all(getattr(row, name) == value for name, value in seen.items())


def _write(row: Discrepancy, seen: dict[str, Any], using: str) -> None:
    """An open row says what is so now; a closed one keeps its amount, and is told that it is over."""
    values = seen if row.is_open else {"detail": seen["detail"]}
    Discrepancy.objects.using(using).filter(pk=row.pk).update(**values)


def _open(using: str, **values: Any) -> None:
    try:
        with transaction.atomic(using=using):
            row = Discrepancy.objects.using(using).create(**values)
    except IntegrityError:
        return  # another run has just noted it
    logger.warning("discrepancy %s: %s of settlement %s", row.pk, row.kind, row.settlement_id)
