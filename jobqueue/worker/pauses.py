"""Pauses that grow while a server is away."""

from __future__ import annotations


class GrowingPauses:
    """How long to wait before the next try: twice as long each time, up to `longest` seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def after_failure(self) -> float:
        """Seconds to wait now."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause

    def reset(self) -> None:
        """It worked: the next pause is the first again."""
        self._next = self._first
