"""Notes what happened and fits nowhere, one row each, for operators to look at and close with a reason."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from settlements.models import Discrepancy, Payment, Settlement

logger = logging.getLogger("settlements.discrepancies")


def note(settlement: Settlement, paid: Decimal, using: str) -> None:
    """Look at a settlement whose payments count `paid`: note what is too much or in another currency.

    To be called with the settlement's row locked. What was seen and closed is noted again only if it is
    another amount now.
    """
    overpaid = settlement.standing(paid).overpaid
    is_cancelled = settlement.status == Settlement.Status.CANCELLED
    _note_sum(settlement, Discrepancy.Kind.CANCELLED, paid if is_cancelled else Decimal(0), using)
    _note_sum(settlement, Discrepancy.Kind.OVERPAID, Decimal(0) if is_cancelled else overpaid, using)
    _note_currencies(settlement, using)


def note_contradiction(payment: Payment, text: str, using: str) -> None:
    """The provider's answer is about another payment, amount or currency than ours."""
    rows = Discrepancy.objects.using(using).filter(payment=payment, kind=Discrepancy.Kind.CONTRADICTION)
    if rows.filter(closed_at__isnull=True).update(detail=text[:500]):
        return
    _open(
        using,
        kind=Discrepancy.Kind.CONTRADICTION,
        settlement_id=payment.settlement_id,
        payment=payment,
        amount=payment.amount.amount,
        currency=str(payment.amount.currency),
        detail=text[:500],
    )


def _note_sum(settlement: Settlement, kind: str, amount: Decimal, using: str) -> None:
    rows = Discrepancy.objects.using(using).filter(settlement=settlement, kind=kind)
    latest = rows.order_by("-id").first()
    if latest is None and not amount:
        return
    currency = str(settlement.amount.currency)
    if latest is not None and latest.is_open:
        if latest.amount != amount or latest.currency != currency:
            rows.filter(pk=latest.pk).update(amount=amount, currency=currency, detail=_detail(amount))
        return
    if amount and (latest is None or (latest.amount, latest.currency) != (amount, currency)):
        _open(using, kind=kind, settlement=settlement, amount=amount, currency=currency)


def _detail(amount: Decimal) -> str:
    return "" if amount else "it is not so any more: the money went back, or something else changed"


def _note_currencies(settlement: Settlement, using: str) -> None:
    """Completed payments in another currency count nothing: somebody must look at them."""
    currency = str(settlement.amount.currency)
    payments = Payment.objects.using(using).filter(settlement=settlement, status=Payment.Status.COMPLETED)
    foreign = {payment.pk: payment for payment in payments.exclude(amount_currency=currency)}
    if not foreign:
        return
    known = Discrepancy.objects.using(using).filter(payment__in=foreign, kind=Discrepancy.Kind.CURRENCY)
    seen = {(row.payment_id, row.amount, row.currency) for row in known} | {
        (row.payment_id, None, None) for row in known if row.is_open
    }
    for pk, payment in foreign.items():
        amount, own = payment.amount.amount, str(payment.amount.currency)
        if (pk, None, None) in seen or (pk, amount, own) in seen:
            continue
        _open(
            using,
            kind=Discrepancy.Kind.CURRENCY,
            settlement=settlement,
            payment=payment,
            amount=amount,
            currency=own,
            detail=f"the settlement is in {currency}",
        )


def _open(using: str, **values: Any) -> None:
    try:
        with transaction.atomic(using=using):
            row = Discrepancy.objects.using(using).create(**values)
    except IntegrityError:
        return  # another run has just noted it
    logger.warning("discrepancy %s: %s of settlement %s", row.pk, row.kind, row.settlement_id)
