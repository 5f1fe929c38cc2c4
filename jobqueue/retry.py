"""When a failed job runs again: a pure function of the number of failures and the error."""

import difflib
import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from jobqueue.exceptions import Discard, InvalidRetryPolicy
from jobqueue.values import LONGEST, is_number, is_whole_number, shown

_MOST_RETRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """One run and `max_retries` retries; the waits grow by `factor` from `first_delay`.

    The default waits 1, 2 and 4 seconds, each within ±20 % so that jobs that failed
    together do not come back together. Raises InvalidRetryPolicy for values that make no sense.
    """

    max_retries: int = 3
    first_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    jitter: float = 0.2
    max_delay: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        may_be = is_whole_number(self.max_retries) and 0 <= self.max_retries <= _MOST_RETRIES
        self._require(may_be, "max_retries", "0 or more", f"a whole number up to {_MOST_RETRIES}")
        self._require(is_number(self.factor) and self.factor >= 1, "factor", "1 or more", "a finite number")
        may_be = is_number(self.jitter) and 0 <= self.jitter < 1
        self._require(may_be, "jitter", "at least 0 and below 1", "a number")
        for name in ("first_delay", "max_delay"):
            value = getattr(self, name)
            may_be = isinstance(value, timedelta) and timedelta(0) <= value <= LONGEST
            self._require(may_be, name, "a timedelta of 0 or more", f"at most {LONGEST.days} days")

    def _require(self, may_be: bool, name: str, rule: str, kind: str) -> None:
        if not may_be:
            raise InvalidRetryPolicy(f"{name} must be {rule}, not {shown(getattr(self, name))} ({kind})")

    def next_delay(
        self,
        failures: int,
        error: BaseException,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> timedelta | None:
        """How long to wait after the `failures`-th failure (from 1), or None to give up."""
        if isinstance(error, Discard) or failures > self.max_retries:
            return None
        longest = self.max_delay.total_seconds()
        try:
            growth = float(self.factor) ** (failures - 1)
            seconds = min(self.first_delay.total_seconds() * growth, longest)
        except OverflowError:
            # The power of a large number of failures has no room in a float.
            seconds = longest if self.first_delay else 0.0
        return timedelta(seconds=seconds * uniform(1 - self.jitter, 1 + self.jitter))


def as_policy(value: Any) -> RetryPolicy:
    """The policy that is meant: a RetryPolicy, a number of retries, or a dict of what RetryPolicy takes.

    Raises InvalidRetryPolicy.
    """
    if isinstance(value, RetryPolicy):
        return value
    if is_whole_number(value):
        return RetryPolicy(max_retries=value)
    if not isinstance(value, dict):
        raise InvalidRetryPolicy(
            f"must be a RetryPolicy, a whole number of retries from 0 to {_MOST_RETRIES}, "
            f"or a dict of RetryPolicy's arguments, not {shown(value)}"
        )
    known = [argument.name for argument in fields(RetryPolicy)]
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise InvalidRetryPolicy(f"has {shown(name)}, which RetryPolicy does not take; {hint}")
    return RetryPolicy(**value)
