"""A reminder policy that is tried in a simulation: that in force, with other intervals in days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from settlements.conf import ReminderPolicy
from settlements.reminders import current_policy

TRIED: Final = ("follow_up", "overdue")
"""What may be tried, each as days such as `3, 7, 14`."""
_MOST_STEPS = 20
_FURTHEST = 365


def tried(asked: Mapping[str, str]) -> tuple[ReminderPolicy, dict[str, str]]:
    """The policy in force with what is tried in its place; what is allowed in place of what cannot be."""
    policy, refused = current_policy(), {}
    for name, text in asked.items():
        if not text or text == in_days(getattr(policy, f"{name}_after")):
            continue  # also where that is no whole number of days, which nobody may try
        try:
            changed: dict[str, Any] = {f"{name}_after": _intervals(text)}
            policy = replace(policy, **changed)
        except ValueError:
            allowed = _("whole days from 1 to %(most)s, ascending, such as 3, 7, 14") % {"most": _FURTHEST}
            refused[name] = allowed
    return policy, refused


def _intervals(text: str) -> tuple[timedelta, ...]:
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) > _MOST_STEPS or not all(1 <= number <= _FURTHEST for number in numbers):
        raise ValueError(text)
    return tuple(timedelta(days=number) for number in numbers)


def in_days(intervals: tuple[timedelta, ...]) -> str:
    """`3, 7, 14`; what is no whole number of days in seconds, `10 s`."""
    return ", ".join(map(_one_in_days, intervals))


def _one_in_days(interval: timedelta) -> str:
    day = timedelta(days=1)
    return f"{interval.total_seconds():g} s" if interval % day else f"{interval // day}"
