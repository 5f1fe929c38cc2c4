"""What kinds of jobs are called, and when an app keeps quiet: told by the apps, shown in the calendar.

    from jobqueue.operating import names_kinds, tells_quiet_hours

    names_kinds("shop.reminder", _("Reminder"), {"first": _("first reminder")})

    @tells_quiet_hours
    def night(first, last):
        return [(begin, end)]  # aware, as far as they touch the days between first and last

A kind is a value of the payload that the processor's counter counts by (`TypeCounter(payload_key=…)`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

Period = tuple[datetime, datetime]
Teller = TypeVar("Teller", bound=Callable[[datetime, datetime], Sequence[Period]])

_names: dict[str, tuple[Any, Mapping[str, Any]]] = {}
_quiet: list[Callable[[datetime, datetime], Sequence[Period]]] = []


def names_kinds(processor: str, name: Any, kinds: Mapping[str, Any] | None = None) -> None:
    """Say what jobs of `processor` are called, and each kind of them; texts may be translatable."""
    _names[processor] = (name, kinds or {})


def tells_quiet_hours(function: Teller) -> Teller:
    """Register a function that tells the periods between two moments in which nothing is sent."""
    _quiet.append(function)
    return function


def name_of(processor: str, kind: str) -> str:
    """What people call jobs of this kind; without a name of an app the processor's own."""
    name, kinds = _names.get(processor, (processor, {}))
    return f"{name}: {kinds.get(kind, kind)}" if kind else str(name)


def quiet_periods(first: datetime, last: datetime) -> list[Period]:
    """When somebody keeps quiet between these moments, in order."""
    return sorted(period for teller in _quiet for period in teller(first, last))
