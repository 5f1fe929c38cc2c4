"""What an executor tells its supervisor, in memory that both share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Slot:
    """What an executor tells its supervisor, in memory both share."""

    running: Callable[[int], None] = lambda _count: None
    performing: Callable[[int, int, float], None] = lambda _thread, _job_id, _deadline: None
    alive: Callable[[], None] = lambda: None
    settled: Callable[[int, int], None] = lambda _completed, _failed: None
    ready: Callable[[], None] = lambda: None
    retiring: Callable[[int], None] = lambda _claimed: None
