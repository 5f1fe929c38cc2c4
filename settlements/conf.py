"""The domain's settings: one `SETTLEMENTS` dict in Django's settings, read lazily and typed.

Keys are the field names below in capitals, in the dict itself and in its two inner dicts::

    SETTLEMENTS = {
        "REMINDERS": {"FOLLOW_UP_AFTER": [timedelta(days=3)], "QUIET_HOURS": ("21:00", "08:00")},
        "PAYMENT_CHECK": {"FIRST_DELAY": 60},
        "GATEWAY": "settlements.gateways.HttpGateway",
        "GATEWAY_OPTIONS": {"base_url": "https://payments.example/v1", "token": "…"},
    }

A duration is a `timedelta` or a number of seconds, so that environment variables can give it.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from jobqueue.values import LONGEST, is_number, shown

Policy = TypeVar("Policy")


def _days(*numbers: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(days=number) for number in numbers)


@dataclass(frozen=True, slots=True)
class ReminderPolicy:
    """When reminders go out; `settlements.reminders` turns it into the plan of one settlement.

    An interval of whole days is days on the calendar of `time_zone`, any other is elapsed time.
    """

    follow_up_after: tuple[timedelta, ...] = _days(3, 7, 14, 21)
    """Follow-ups, counted from the creation of the settlement, or from when its payer became the payer."""
    overdue_after: tuple[timedelta, ...] = _days(1, 3, 7, 14, 30)
    """Overdue reminders, counted from the due date: those of whole days never leave on the due day."""
    quiet_hours: tuple[time, time] | None = None
    """From when until when no reminder goes out, by the wall clock of `time_zone`; None switches it off."""
    time_zone: ZoneInfo = ZoneInfo("UTC")
    """The zone whose days and wall clock count. The setting's default is Django's TIME_ZONE."""
    minimum_gap: timedelta = timedelta(0)
    """Least distance between two reminders of one settlement; whole days are calendar days, too. 0: none."""
    lapsed_after: timedelta = timedelta(hours=1)
    """How late a reminder may still be planned, in elapsed time; an older one is left out. 0: none may."""

    def __post_init__(self) -> None:
        for name in ("follow_up_after", "overdue_after"):
            _check_intervals(name, getattr(self, name))
        for name in ("minimum_gap", "lapsed_after"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.quiet_hours is not None:
            _check_quiet_hours(*self.quiet_hours)


def _check_intervals(name: str, intervals: tuple[timedelta, ...]) -> None:
    if any(interval <= timedelta(0) for interval in intervals):
        raise ValueError(f"{name} must be durations longer than zero, not {_text(intervals)}")
    if any(later <= earlier for earlier, later in pairwise(intervals)):
        raise ValueError(f"{name} must ascend, each longer than the one before, not {_text(intervals)}")


def _check_quiet_hours(start: time, end: time) -> None:
    if start.tzinfo is not None or end.tzinfo is not None:
        raise ValueError("quiet_hours must be times without a zone; time_zone says whose wall clock counts")
    if start == end:
        raise ValueError(
            f"quiet_hours must start and end at different times, not both at {start}; None is off"
        )


def _text(intervals: tuple[timedelta, ...]) -> str:
    return ", ".join(str(interval) for interval in intervals)


# A provider that is asked more often does nothing else.
_SHORTEST_DISTANCE = timedelta(seconds=0.1)
# From the shortest distance to the longest, a hundred years, in one step.
_LARGEST_FACTOR = 100_000_000_000


@dataclass(frozen=True, slots=True)
class PaymentCheckPolicy:
    """When an unsettled payment is asked about: after `first_delay`, then at growing distances."""

    first_delay: timedelta = timedelta(minutes=1)
    factor: float = 2.0
    max_delay: timedelta = timedelta(hours=6)

    def __post_init__(self) -> None:
        if self.first_delay <= timedelta(0):
            raise ValueError(f"first_delay must be longer than zero, not {self.first_delay}")
        if self.first_delay < _SHORTEST_DISTANCE:
            least = _SHORTEST_DISTANCE.total_seconds()
            raise ValueError(f"first_delay must be {least:g} seconds or more, not {self.first_delay}")
        if self.factor < 1:
            raise ValueError(f"factor must be 1 or more, not {self.factor}")
        if self.max_delay < self.first_delay:
            raise ValueError(
                f"max_delay must be at least first_delay ({self.first_delay}), not {self.max_delay}"
            )

    def next_delay(self, checks_done: int) -> timedelta:
        """How long to wait before the next check when `checks_done` (from 0) found it unsettled."""
        limit = self.max_delay.total_seconds()
        seconds = self.first_delay.total_seconds()
        # A loop and not a power, and left as soon as the limit is reached: a payment that stays
        # unsettled for years must not overflow a float.
        for _ in range(checks_done if self.factor > 1 else 0):
            seconds *= self.factor
            if seconds >= limit:
                break
        return timedelta(seconds=min(seconds, limit))


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; the keys of `SETTLEMENTS` are these names in capitals."""

    reminders: ReminderPolicy = field(default_factory=ReminderPolicy)
    """When reminders go out."""
    payment_check: PaymentCheckPolicy = field(default_factory=PaymentCheckPolicy)
    """When unsettled payments are asked about."""
    notification_delay: timedelta = timedelta(seconds=2)
    """How long a notification waits, so that saves in quick succession become one e-mail; 0: not at all."""
    email_retry_for: timedelta = timedelta(hours=24)
    """How long an e-mail is tried again that was not taken for now; 0: three retries, as any job. The
    default is the setting EMAIL_RETRY_FOR of Django's settings, if there is one."""
    gateway: str = "settlements.gateways.DatabaseGateway"
    """Dotted path of the payment gateway's class."""
    gateway_options: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the gateway's class is called with; never shown, it may hold a token."""


def _duration(value: Any) -> timedelta:
    duration = _any_duration(value)
    if duration > LONGEST:
        raise ValueError(f"must be at most {LONGEST.days} days, not {shown(value)}")
    return duration


def _any_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not is_number(value):
        raise ValueError(f"must be a timedelta or a finite number of seconds, not {shown(value)}")
    try:
        return timedelta(seconds=value)
    except OverflowError:
        raise ValueError(f"is more seconds than a timedelta can hold: {shown(value)}") from None


def _waiting_time(value: Any) -> timedelta:
    duration = _duration(value)
    if duration < timedelta(0):
        raise ValueError(f"must not be negative, not {shown(value)}")
    return duration


def _durations(value: Any) -> tuple[timedelta, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of durations, not {shown(value)}")
    return tuple(_duration(entry) for entry in value)


def _quiet_hours(value: Any) -> tuple[time, time] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f'must be a start and an end, as in ("21:00", "08:00"), or None, not {shown(value)}')
    return _wall_time(value[0]), _wall_time(value[1])


def _wall_time(value: Any) -> time:
    if isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value.strip())
    except (AttributeError, ValueError):
        raise ValueError(f'has a part that is no time such as "21:00": {shown(value)}') from None


def _zone(value: Any) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f'must be an IANA name such as "Europe/Berlin", not {shown(value)}') from None


def _factor(value: Any) -> float:
    if not is_number(value):
        raise ValueError(f"must be a finite number, not {shown(value)}")
    if value > _LARGEST_FACTOR:
        raise ValueError(f"must be at most {_LARGEST_FACTOR}, not {shown(value)}")
    return float(value)


def _dotted_path(value: Any) -> str:
    if not isinstance(value, str) or "." not in value:
        raise ValueError(f"must be the dotted path of a class, not {shown(value)}")
    return value


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        # The value stays out of the text: it may hold a token.
        raise ValueError(f"must be a dict with text keys, not a {type(value).__name__}")
    return dict(value)


_REMINDER_READERS: dict[str, Callable[[Any], Any]] = {
    "follow_up_after": _durations,
    "overdue_after": _durations,
    "quiet_hours": _quiet_hours,
    "time_zone": _zone,
    "minimum_gap": _duration,
    "lapsed_after": _duration,
}
_PAYMENT_CHECK_READERS: dict[str, Callable[[Any], Any]] = {
    "first_delay": _duration,
    "factor": _factor,
    "max_delay": _duration,
}


def _reminder_policy(raw: Any) -> ReminderPolicy:
    place = "SETTLEMENTS REMINDERS"
    values = _read(raw, _REMINDER_READERS, place)
    values.setdefault("time_zone", _zone(django_settings.TIME_ZONE))
    return _built(ReminderPolicy, place, values)


def _payment_check_policy(raw: Any) -> PaymentCheckPolicy:
    place = "SETTLEMENTS PAYMENT_CHECK"
    return _built(PaymentCheckPolicy, place, _read(raw, _PAYMENT_CHECK_READERS, place))


_READERS: dict[str, Callable[[Any], Any]] = {
    "reminders": _reminder_policy,
    "payment_check": _payment_check_policy,
    "notification_delay": _waiting_time,
    "email_retry_for": _waiting_time,
    "gateway": _dotted_path,
    "gateway_options": _options,
}


def _read(raw: Any, readers: Mapping[str, Callable[[Any], Any]], place: str) -> dict[str, Any]:
    """The values of one dict of settings, each read by its reader; unknown keys are refused."""
    if not isinstance(raw, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict, not a {type(raw).__name__}.")
    known = {name.upper(): name for name in readers}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(sorted(known))}."
            raise ImproperlyConfigured(f"{place} has no setting {key!r}. {hint}")
        try:
            values[known[key]] = readers[known[key]](value)
        except ValueError as error:
            raise ImproperlyConfigured(f"{place} {key} {error}.") from None
    return values


def _built(policy_class: type[Policy], place: str, values: dict[str, Any]) -> Policy:
    try:
        return policy_class(**values)
    except ValueError as error:
        raise ImproperlyConfigured(f"{place}: {error}.") from None


def _parse(raw: Any) -> Settings:
    values = _read(raw, _READERS, "SETTLEMENTS")
    values.setdefault("reminders", _reminder_policy({}))
    if "email_retry_for" not in values and hasattr(django_settings, "EMAIL_RETRY_FOR"):
        values |= _read({"EMAIL_RETRY_FOR": django_settings.EMAIL_RETRY_FOR}, _READERS, "The setting")
    return Settings(**values)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings in force, parsed once; `override_settings` is followed."""
    return _parse(getattr(django_settings, "SETTLEMENTS", {}))


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("SETTLEMENTS", "TIME_ZONE", "EMAIL_RETRY_FOR"):
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="settlements.conf")
