"""Clocks that tests set."""

from __future__ import annotations


class Clock:
    """Takes the place of `time` in a module that asks the monotonic clock."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """The time it was set to."""
        return self.now
