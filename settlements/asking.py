"""What operators ask of a settlement by hand: a reminder now, no reminders for a while, a check of payments.

Each takes the settlement's locked row. To ask twice has one effect.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from jobqueue.jobs import database_now
from jobqueue.models import Job
from settlements.decisions import CHECKS, EMAILS
from settlements.jobs import add_letter_job, add_settlement_processing_job
from settlements.models import Payment, Settlement

REMINDER: Final = "settlement_reminder"
_JUST_NOW: Final = timedelta(minutes=1)


def why_no_reminder(settlement: Settlement, using: str) -> str:
    """Why no reminder can be sent now; empty if nothing speaks against it."""
    if not settlement.is_open:
        return str(settlement.get_status_display())
    if settlement.reminders_paused:
        return "reminders are paused"
    letters = Job.objects.using(using).about(settlement).filter(processor=EMAILS)
    asked = letters.filter(payload__template_type=REMINDER)
    if asked.unfinished().exists():
        return "a reminder is on its way"
    since = database_now(using) - _JUST_NOW
    return "a reminder was sent a moment ago" if asked.filter(created_at__gte=since).exists() else ""


def send_reminder(settlement: Settlement, using: str) -> Job:
    """Ask for a reminder that belongs to no plan; it is looked at as it leaves, as every letter."""
    key = f"reminder_now:{settlement.pk}"
    return add_letter_job(settlement, settlement.payer_id, REMINDER, unique_key=key, using=using)


def pause_reminders(settlement: Settlement, *, paused: bool) -> None:
    """Let no reminder go out, or let them go out again."""
    settlement.reminders_paused = paused
    settlement.save(update_fields=["reminders_paused"])


def unsettled(settlement: Settlement, using: str) -> list[Payment]:
    """The payments about which the provider can be asked."""
    rows = Payment.objects.using(using).filter(settlement=settlement, status__in=Payment.UNSETTLED)
    return list(rows.order_by("created_at", "pk"))


def check_payments(settlement: Settlement, using: str) -> int:
    """Have the provider asked about each unsettled payment now; how many there are."""
    payments = unsettled(settlement, using)
    checks = Job.objects.using(using).about(settlement).filter(processor=CHECKS)
    checks.run_all_now()
    waiting = checks.unfinished().values_list("payload", flat=True)
    asked_about = {payload.get("payment_id") for payload in waiting}
    for payment in payments:
        if str(payment.pk) not in asked_about:
            add_settlement_processing_job(
                settlement,
                "payment_status_check",
                payment_id=payment.pk,
                unique_key=f"payment_status_check:{payment.pk}",
                using=using,
            )
    return len(payments)
