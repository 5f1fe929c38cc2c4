"""What is given from outside, settings and arguments: a check returns the value, or says what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

Check = Callable[[Any], Any]
"""Returns the value as it is used from then on; ValueError, "must be …, not …", if it is not allowed."""

LONGEST = timedelta(days=36_500)
"""Of every wait and time limit: a hundred years from now is a time that databases and pages can carry."""
SHORTEST_RUN = 0.001
"""Seconds of a time limit: with less no job does anything."""
_LONGEST_SHOWN = 80


def shown(value: object) -> str:
    """`value` as an error names it: short, and whatever its `repr` does."""
    try:
        text = repr(value)
    except Exception:  # also of an integer with more digits than Python writes
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def is_number(value: object) -> bool:
    """Whether it is an integer or a float that is finite; True and False are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def is_whole_number(value: object) -> bool:
    """Whether it is an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def trouble_with(check: Check, value: object) -> str:
    """What the check says against it; empty if nothing."""
    try:
        check(value)
    except ValueError as error:
        return str(error)
    return ""


_RATE = re.compile(r"[0-9]{1,9}/[smhd][a-z]*")


def rate(value: Any) -> Any:
    """`value` if it is so many in a length of time, as Django REST Framework takes it; None is no limit."""
    if value is None or (isinstance(value, str) and _RATE.fullmatch(value)):
        return value
    raise ValueError(
        f"must be a whole number, a slash and one of s, min, hour, day, such as 1200/min, not {shown(value)}"
    )


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """Checks for an integer from `least` to `most`; also for None, if that is allowed."""

    least: int
    most: int
    or_none: bool = False

    def __call__(self, value: Any) -> Any:
        """`value` if it is one."""
        if value is None and self.or_none:
            return None
        if not is_whole_number(value) or not self.least <= value <= self.most:
            none = ", or None" if self.or_none else ""
            raise ValueError(
                f"must be a whole number from {self.least} to {self.most}{none}, not {shown(value)}"
            )
        return value


@dataclass(frozen=True, slots=True)
class Seconds:
    """Checks for seconds, a number or a timedelta: from 0 on or only above it, up to `most`.

    What is above 0 must be `least` at least: a shorter pause would only keep a processor busy, and a shorter
    time-out gives nobody the time to answer.
    """

    most: float
    least: float = 0.0
    may_be_zero: bool = False

    def __call__(self, value: Any) -> Any:
        """`value` in seconds."""
        number = value.total_seconds() if isinstance(value, timedelta) else value
        if not is_number(number) or not 0 <= number <= self.most or (number == 0 and not self.may_be_zero):
            least = "of 0 or more" if self.may_be_zero else "above 0"
            raise ValueError(
                f"must be a number of seconds {least}, at most {self.most:.0f}, or such a timedelta, "
                f"not {shown(value)}"
            )
        if 0 < number < self.least:
            zero = "0, or " if self.may_be_zero else ""
            raise ValueError(f"must be {zero}{self.least:g} seconds or more, not {shown(value)}")
        return number


def boolean(value: Any) -> bool:
    """`value` if it is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"must be True or False, not {shown(value)}")
    return value


def length_of_time(value: Any) -> timedelta:
    """`value` if it is a timedelta from 0 to the longest."""
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= LONGEST:
        raise ValueError(f"must be a timedelta from 0 to {LONGEST.days} days, not {shown(value)}")
    return value


@dataclass(frozen=True, slots=True)
class Text:
    """Checks for printable text of `least` to `longest` characters, without blanks around it."""

    longest: int
    least: int = 1

    def __call__(self, value: Any) -> str:
        """`value` if it is one."""
        is_text = isinstance(value, str) and value.isprintable() and value == value.strip()
        if not is_text or not self.least <= len(value) <= self.longest:
            raise ValueError(
                f"must be printable text of {self.least} to {self.longest} characters, "
                f"without blanks around it, not {shown(value)}"
            )
        return str(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Checks for one of these words."""

    words: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        """`value` if it is one."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"must be one of {', '.join(map(repr, self.words))}, not {shown(value)}")
        return value
