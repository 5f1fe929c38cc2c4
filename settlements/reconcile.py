"""Derives the jobs that should exist from the rows, and creates what is missing.

Rows changed by `bulk_create()` or `update()` never met the rules; they differ from what was announced,
and the rules are applied to them as if they had been saved. The thorough run also compares every open
settlement's waiting reminders with its plan, and looks for unsettled payments that nobody asks about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django.db.models import F, Model, Q, QuerySet

from jobqueue.models import Job, subject_of
from jobqueue.outbox import databases
from jobqueue.registry import reconciler
from jobqueue.signals import Change
from settlements import signals
from settlements.exceptions import CurrencyMismatch
from settlements.jobs import add_settlement_processing_job
from settlements.models import Payment, Settlement
from settlements.planning import plan_reminders

_BATCH = 500

_unannounced_status = ~Q(announced_status=F("status"))
_unannounced_due_date = Q(announced_due_date__isnull=True) | ~Q(announced_due_date=F("due_date"))


@reconciler("settlements")
def reconcile(*, full: bool) -> dict[str, int]:
    """Mend what is missing; counts by kind."""
    mended: Counter[str] = Counter()
    for using in databases():
        _announce_settlements(using, mended)
        _announce_payments(using, mended)
        if full:
            _complete_plans(using, mended)
            _complete_payment_work(using, mended)
    return dict(mended)


def _announce_settlements(using: str, mended: Counter[str]) -> None:
    changed = Settlement.objects.using(using).filter(_unannounced_status | _unannounced_due_date)
    for settlement in _each_locked(changed, using):
        change = _change(settlement, using)
        signals.notify_about_settlement(settlement, change)
        signals.keep_reminder_plan(settlement, change)
        _mark(settlement, using)
        mended["settlements announced"] += 1


def _announce_payments(using: str, mended: Counter[str]) -> None:
    for payment in _each_locked(Payment.objects.using(using).filter(_unannounced_status), using):
        change = _change(payment, using)
        signals.check_status_later(payment, change)
        signals.complete_if_covered(payment, change)
        signals.notify_about_payment(payment, change)
        _mark(payment, using)
        mended["payments announced"] += 1


def _change(row: Any, using: str) -> Change:
    """The change that nobody announced, as a save would have seen it."""
    created = row.announced_status == ""
    fields: dict[str, tuple[Any, Any]] = {}
    if row.status != row.announced_status:
        fields["status"] = (row.announced_status or None, row.status)
    if isinstance(row, Settlement) and row.due_date != row.announced_due_date:
        fields["due_date"] = (row.announced_due_date, row.due_date)
    return Change(created, using, fields)


def _mark(row: Settlement | Payment, using: str) -> None:
    values: dict[str, Any] = {"announced_status": row.status}
    if isinstance(row, Settlement):
        values["announced_due_date"] = row.due_date
    type(row)._base_manager.using(using).filter(pk=row.pk).update(**values)


def _complete_plans(using: str, mended: Counter[str]) -> None:
    """Every open settlement has the reminders of its plan, and no others wait."""
    open_settlements = Settlement.objects.using(using).filter(status__in=Settlement.OPEN)
    for settlement in open_settlements.iterator(chunk_size=_BATCH):
        changed = plan_reminders(settlement, using=using, keep_cancelled=True)
        mended["reminders created"] += changed.created
        mended["reminders cancelled"] += changed.cancelled


def _complete_payment_work(using: str, mended: Counter[str]) -> None:
    """Unsettled payments are asked about; settlements that are covered are completed."""
    unsettled = Payment.objects.using(using).filter(status__in=Payment.UNSETTLED)
    for settlement_id in _distinct_settlements(unsettled):
        if not _has_unfinished(settlement_id, "settlement.payment_status_check", using):
            add_settlement_processing_job(
                settlement_id,
                "payment_status_check",
                unique_key=f"payment_status_check:{settlement_id}",
                using=using,
            )
            mended["payment checks created"] += 1
    paid = Payment.objects.using(using).filter(
        status=Payment.Status.COMPLETED, settlement__status__in=Settlement.OPEN
    )
    for settlement_id in _distinct_settlements(paid):
        if _needs_completion(settlement_id, using):
            add_settlement_processing_job(
                settlement_id, "auto_complete", unique_key=f"auto_complete:{settlement_id}", using=using
            )
            mended["completions created"] += 1


def _needs_completion(settlement_id: Any, using: str) -> bool:
    settlement = Settlement.objects.using(using).filter(pk=settlement_id).first()
    if settlement is None or _has_unfinished(settlement_id, "settlement.auto_complete", using):
        return False
    try:
        return bool(settlement.status_by_payments() != settlement.status)
    except CurrencyMismatch:
        # Its completion failed, or will, with this error: that job is where people see it.
        return False


def _distinct_settlements(payments: QuerySet[Payment]) -> list[Any]:
    return list(payments.order_by().values_list("settlement_id", flat=True).distinct())


def _has_unfinished(settlement_id: Any, processor: str, using: str) -> bool:
    subject = subject_of(Settlement(pk=settlement_id))
    return Job.objects.using(using).unfinished().filter(subject=subject, processor=processor).exists()


def _each_locked(rows: QuerySet[Any], using: str) -> Iterator[Any]:
    """Each row in a transaction of its own, locked, if it still is one of `rows` then."""
    ascending = rows.order_by("pk").values_list("pk", flat=True)
    keys = list(ascending[:_BATCH])
    while keys:
        for key in keys:
            with transaction.atomic(using=using):
                row: Model | None = (
                    rows.select_for_update(skip_locked=_can_skip(using)).filter(pk=key).first()
                )
                if row is not None:
                    yield row
        # Onwards only: what is left behind was locked by somebody else, who announces it.
        keys = list(ascending.filter(pk__gt=keys[-1])[:_BATCH])


def _can_skip(using: str) -> bool:
    return bool(connections[using].features.has_select_for_update_skip_locked)
