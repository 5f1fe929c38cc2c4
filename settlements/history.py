"""What is history: settlements that were over before this system heard of them. Nobody is told of them."""

from __future__ import annotations

from jobqueue.clock import about_now
from settlements.models import Settlement
from settlements.reminders import calendar, current_policy


def is_history(settlement: Settlement) -> bool:
    """Whether a new settlement is closed already, or past its last reminder.

    A settlement of 0 is completed and nobody hears of it, but it is none: its amount may still change.
    """
    if settlement.is_open:
        return _is_past_its_last_reminder(settlement)
    return bool(settlement.decided_status)


def _is_past_its_last_reminder(settlement: Settlement) -> bool:
    now = about_now()
    due_date = settlement.due_date
    if hasattr(due_date, "resolve_expression") or due_date >= now:
        return False
    begin = min(settlement.created_at, due_date)
    return calendar(begin, due_date, current_policy())[-1].run_at < now
