"""When a failed job runs again: a pure function of the number of failures and the error."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from jobqueue.exceptions import Discard


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """One run and `max_retries` retries; the waits grow by `factor` from `first_delay`.

    The default waits 1, 2 and 4 seconds, each within ±20 % so that jobs that failed
    together do not come back together.
    """

    max_retries: int = 3
    first_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    jitter: float = 0.2
    max_delay: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries must be 0 or more, not {self.max_retries}")
        if self.factor < 1:
            raise ValueError(f"factor must be 1 or more, not {self.factor}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must be at least 0 and below 1, not {self.jitter}")
        for name in ("first_delay", "max_delay"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or value < timedelta(0):
                raise ValueError(f"{name} must be a timedelta of 0 or more, not {value!r}")

    def next_delay(
        self,
        failures: int,
        error: BaseException,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> timedelta | None:
        """How long to wait after the `failures`-th failure (from 1), or None to give up."""
        if isinstance(error, Discard) or failures > self.max_retries:
            return None
        # The cap comes before the power: a large number of failures must not overflow a float.
        longest = self.max_delay.total_seconds()
        seconds = min(self.first_delay.total_seconds(), longest)
        for _ in range(failures - 1):
            seconds *= self.factor
            if seconds >= longest:
                seconds = longest
                break
        return timedelta(seconds=seconds * uniform(1 - self.jitter, 1 + self.jitter))
