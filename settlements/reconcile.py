"""Derives the jobs that should exist from the rows, and creates what is missing.

Rows changed by `bulk_create()` or `update()` never met the rules; they differ from what was announced,
and the rules are applied to them as if they had been saved. The thorough run also compares every open
settlement's waiting reminders with its plan and every settlement's status with its payments, and looks for
unsettled payments that nobody asks about, for payers who were changed and for reminders that nothing brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet

from jobqueue.jobs import in_each_database, reconciler
from jobqueue.models import Job
from jobqueue.rules import Change
from settlements import deliveries, discrepancies, signals
from settlements.decisions import CHECKS, cancelled_keys
from settlements.history import is_history
from settlements.jobs import add_settlement_processing_job
from settlements.models import Discrepancy, PaidByPayments, Payment, Settlement
from settlements.planning import plan_reminders

_BATCH = 500

_unannounced_status = ~Q(announced_status=F("status"))
_unannounced_due_date = Q(announced_due_date__isnull=True) | ~Q(announced_due_date=F("due_date"))


@reconciler("settlements")
def reconcile(*, full: bool) -> dict[str, int]:
    """Mend what is missing; counts by kind."""
    mended: Counter[str] = Counter()
    in_each_database(lambda using: _reconcile(using, mended, full=full))
    return dict(mended)


def _reconcile(using: str, mended: Counter[str], *, full: bool) -> None:
    _announce_settlements(using, mended)
    _announce_payments(using, mended)
    if full:
        _announce_payers(using, mended)
        _complete_plans(using, mended)
        _complete_checks(using, mended)
        _complete_statuses(using, mended)
        if given_up := deliveries.give_up_reminders_of_ended(using):
            mended["reminders given up"] += given_up


def _announce_settlements(using: str, mended: Counter[str]) -> None:
    changed = Settlement.objects.using(using).filter(_unannounced_status | _unannounced_due_date)
    for settlement in _each_locked(changed, using):
        _announce_settlement(settlement, using)
        mended["settlements announced"] += 1


def _announce_settlement(settlement: Settlement, using: str) -> None:
    """Apply the rules to a row that was written without `save()`, and keep what a save would have kept."""
    change = _change(settlement, using)
    paid = settlement.paid().amount
    if change.created and settlement.is_open and settlement.amount.amount == 0:
        # As a save does: nobody hears that nothing was owed.
        settlement.status = settlement.Status.COMPLETED
        change.fields["status"] = (None, settlement.status)
    elif "status" in change:
        settlement.adopt_status(paid)
    if change.created and settlement.history is None:
        settlement.history = is_history(settlement)
    former = settlement.announced_payer_id
    if former is not None and former != settlement.payer_id:
        settlement.begin_term()
        change.fields["payer"] = (former, settlement.payer_id)
    _keep(settlement, using)
    if change.created or set(change.fields) != {"payer"}:
        signals.notify_about_settlement(settlement, change)
    signals.keep_reminder_plan(settlement, change)
    if settlement.standing(paid).status != settlement.status != settlement.decided_status:
        signals.follow_payments(settlement.pk, using=using)


def _announce_payments(using: str, mended: Counter[str]) -> None:
    for payment in _each_locked(Payment.objects.using(using).filter(_unannounced_status), using):
        change = _change(payment, using)
        signals.check_status_later(payment, change)
        signals.follow_payment(payment, change)
        signals.notify_about_payment(payment, change)
        _keep(payment, using)
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


def _keep(row: Settlement | Payment, using: str) -> None:
    """Write what the row keeps by itself, and that everybody was told."""
    row.mark_as_announced(None)
    values = {name: getattr(row, name) for name in ("status", *row.kept_columns())}
    type(row)._base_manager.using(using).filter(pk=row.pk).update(**values)


def _announce_payers(using: str, mended: Counter[str]) -> None:
    """A payer that was changed without `save()` gets a plan of his own, the former one is told."""
    changed = Settlement.objects.using(using).exclude(announced_payer_id=F("payer_id"))
    for settlement in _each_locked(changed.filter(announced_payer__isnull=False), using):
        _announce_settlement(settlement, using)
        mended["payers announced"] += 1


def _complete_plans(using: str, mended: Counter[str]) -> None:
    """Every open settlement has the reminders of its plan, and no others wait."""
    open_settlements = (
        Settlement.objects.using(using).filter(status__in=Settlement.OPEN).exclude(history=True)
    )
    for settlement in open_settlements.iterator(chunk_size=_BATCH):
        changed = plan_reminders(settlement, using=using, keep_cancelled=True)
        mended["reminders created"] += changed.created
        mended["reminders cancelled"] += changed.cancelled


def _complete_checks(using: str, mended: Counter[str]) -> None:
    """Every unsettled payment is asked about, unless an operator cancelled that."""
    unsettled = Payment.objects.using(using).filter(status__in=Payment.UNSETTLED).order_by()
    for payment in unsettled.iterator(chunk_size=_BATCH):
        key = f"payment_status_check:{payment.pk}"
        if not _is_asked_about(payment, key, using):
            add_settlement_processing_job(
                payment.settlement_id,
                "payment_status_check",
                payment_id=payment.pk,
                unique_key=key,
                using=using,
            )
            mended["payment checks created"] += 1


def _is_asked_about(payment: Payment, key: str, using: str) -> bool:
    settlement = Settlement(pk=payment.settlement_id)
    if key in cancelled_keys(settlement, using):
        return True
    checks = Job.objects.using(using).unfinished().about(settlement)
    payloads = checks.filter(processor=CHECKS).values_list("payload", flat=True)
    return any(payload.get("payment_id") in (None, str(payment.pk)) for payload in payloads)


def _complete_statuses(using: str, mended: Counter[str]) -> None:
    """Every settlement has the status that its payments and its decision call for, closed ones too.

    A decision is never undone here: where payments that it rested on went away unseen, it stays.
    """
    keys = Settlement.objects.using(using).order_by("pk")
    batch = list(_with_sums(keys)[:_BATCH])
    while batch:
        for settlement in batch:
            stays = settlement.decided_status == Settlement.Status.COMPLETED
            if _differs(settlement, using) and not _is_followed(settlement.pk, stays, using):
                signals.follow_payments(settlement.pk, using=using, stays_completed=stays)
                mended["completions created"] += 1
        batch = list(_with_sums(keys.filter(pk__gt=batch[-1].pk))[:_BATCH])


def _with_sums(settlements: QuerySet[Settlement]) -> QuerySet[Settlement]:
    foreign = Payment.objects.filter(settlement=OuterRef("pk"), status=Payment.Status.COMPLETED)
    noted = Discrepancy.objects.open().filter(settlement=OuterRef("pk"))
    rows = settlements.annotate(
        counted=PaidByPayments(),
        is_odd=Exists(foreign.exclude(amount_currency=OuterRef("amount_currency")).order_by())
        | Exists(noted.order_by()),
    )
    return rows.only("status", "amount", "amount_currency", "decided_status", "decided_paid")


def _differs(settlement: Any, using: str) -> bool:
    standing = settlement.standing(settlement.counted)
    if standing.status != settlement.status and settlement.decided_status != settlement.status:
        return True
    is_odd = standing.overpaid > 0 or settlement.is_odd
    return is_odd and not discrepancies.are_noted(settlement, settlement.counted, using)


def _is_followed(settlement_id: Any, stays_completed: bool, using: str) -> bool:
    rows = Job.objects.using(using).unfinished().about(Settlement(pk=settlement_id))
    key = signals.key_of_following(settlement_id, stays_completed=stays_completed)
    return rows.filter(unique_key=key).exists()


def _each_locked(rows: QuerySet[Any], using: str) -> Iterator[Any]:
    """Each row in a transaction of its own, locked, if it still is one of `rows` then."""
    ascending = rows.order_by("pk").values_list("pk", flat=True)
    keys = list(ascending[:_BATCH])
    while keys:
        for key in keys:
            with transaction.atomic(using=using):
                row: Model | None = (
                    rows.select_for_update(skip_locked=_can_skip(using), no_key=True).filter(pk=key).first()
                )
                if row is not None:
                    yield row
        # Onwards only: what is left behind was locked by somebody else, who announces it.
        keys = list(ascending.filter(pk__gt=keys[-1])[:_BATCH])


def _can_skip(using: str) -> bool:
    return bool(connections[using].features.has_select_for_update_skip_locked)
