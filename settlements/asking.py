"""What operators ask of a settlement by hand: a reminder now, no reminders for a while, a check of payments.

Each takes the settlement's locked row. To ask twice has one effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext

from jobqueue.models import Job, subject_of
from settlements.decisions import CHECKS, EMAILS
from settlements.jobs import add_letter_job, add_settlement_processing_job
from settlements.models import Payment, Settlement

REMINDER: Final = "settlement_reminder"
_JUST_NOW: Final = timedelta(minutes=1)
_UNFINISHED: Final = (Job.State.WAITING, Job.State.ACTIVE)


def why_no_reminder(settlement: Settlement, using: str) -> str:
    """Why no reminder can be sent now; empty if nothing speaks against it."""
    return why_no_reminders([settlement], using)[settlement.pk]


def why_no_reminders(settlements: Collection[Settlement], using: str) -> dict[Any, str]:
    """The same of many, by primary key: one question to the database, however many there are."""
    found = {one.pk: _why_none_ever(one) for one in settlements}
    asked = {subject_of(one): one.pk for one in settlements if not found[one.pk]}
    letters = Job.objects.using(using).filter(subject__in=list(asked), processor=EMAILS)
    lately = letters.filter(
        Q(state__in=_UNFINISHED) | Q(created_at__gte=Now() - _JUST_NOW), payload__template_type=REMINDER
    )
    states: dict[str, set[str]] = defaultdict(set)
    for subject, state in lately.values_list("subject", "state") if asked else ():
        states[subject].add(state)
    return found | {key: _why_not_again(states[subject]) for subject, key in asked.items()}


def _why_none_ever(settlement: Settlement) -> str:
    """What of the settlement itself speaks against a reminder."""
    if not settlement.is_open:
        return str(settlement.get_status_display())
    return gettext("reminders are paused") if settlement.reminders_paused else ""


def _why_not_again(states: set[str]) -> str:
    """What the reminders that were asked for a moment ago speak against another."""
    if states.intersection(_UNFINISHED):
        return gettext("a reminder is on its way")
    return gettext("a reminder was sent a moment ago") if states else ""


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
