"""Dates, policies and settlements of the tests of the reminder plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from settlements.conf import ReminderPolicy
from settlements.models import Settlement
from settlements.reminders import PlannedReminder

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
CAIRO = ZoneInfo("Africa/Cairo")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
NUUK = ZoneInfo("America/Nuuk")
APIA = ZoneInfo("Pacific/Apia")
PAGO_PAGO = ZoneInfo("Pacific/Pago_Pago")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NO_GAP = timedelta(0)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When the settlements of the examples are created, far from quiet hours and clock changes."""
Entry = tuple[str, int, timedelta]


def of_days(*numbers: float) -> tuple[timedelta, ...]:
    """So many days each."""
    return tuple(timedelta(days=number) for number in numbers)


def policy_with(**changes: Any) -> ReminderPolicy:
    """A policy with half a day between reminders, by day and night unless told otherwise."""
    return replace(ReminderPolicy(minimum_gap=12 * HOUR), **changes)


def policy_by_day(**changes: Any) -> ReminderPolicy:
    """A policy whose nights are quiet."""
    return policy_with(**{"quiet_hours": (time(21), time(8)), **changes})


def shown_plan(reminders: list[PlannedReminder], since: datetime = NOON) -> list[Entry]:
    """Its reminders as stage, step and how long after a moment they leave."""
    return [(each.reminder_type.value, each.step, each.run_at - since) for each in reminders]


def settlement_with(**changes: Any) -> Settlement:
    """A settlement of NOON that is due ten days later."""
    return Settlement(**{"created_at": NOON, "due_date": NOON + 10 * DAY} | changes)


def settlement_with_payer_since(moment: datetime | None) -> Settlement:
    """One whose payer came in at that moment."""
    settlement = settlement_with()
    settlement.payer_since = moment
    return settlement
