"""What took long to tell, kept for a moment in this process for whoever looks again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """At most so many values, each for so many seconds; the oldest goes first."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._kept: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Value | None:
        """What was kept by this key; None if nothing was, or its time is over."""
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def keep(self, key: Hashable, value: Value) -> None:
        """Keep this value from now on."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (time.monotonic() + self._seconds, value)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
