"""What is history: settlements that were over before this system heard of them. Nobody is told of them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from jobqueue.jobs import about_now
from settlements.models import Settlement
from settlements.reminders import calendar, current_policy


def is_history(settlement: Settlement, status: str = "") -> bool:
    """Whether a settlement that is new, with this status, is closed already, or past its last reminder.

    A settlement of 0 is completed and nobody hears of it, but it is none: its amount may still change.
    """
    if (status or settlement.status) in Settlement.OPEN:
        return _is_past_its_last_reminder(settlement)
    return bool(settlement.decided_status) or getattr(settlement.amount, "amount", None) != 0


def counts_as_history(settlement: Settlement) -> bool:
    """Whether nobody is told of it: also of a row that was written in bulk and waits for the reconciler."""
    if settlement.history is None and not settlement.announced_status:
        return is_history(settlement)
    return bool(settlement.history)


def _is_past_its_last_reminder(settlement: Settlement) -> bool:
    now = about_now()
    due_date: Any = settlement.due_date
    if hasattr(due_date, "resolve_expression"):
        return False
    due_date = Settlement._meta.get_field("due_date").to_python(due_date)
    if due_date is None or timezone.is_naive(due_date) or due_date >= now:
        return False
    begin = min(settlement.created_at, due_date)
    return calendar(begin, due_date, current_policy())[-1].run_at < now
