"""Bad conditions that a test puts its workers under, through their environment."""

from __future__ import annotations

import os
import resource
from datetime import UTC, datetime, timedelta

from jobqueue.registry import unregister

CLOCK_OFFSET = "WORKLOAD_CLOCK_OFFSET"
"""Seconds that the worker's clock is wrong by."""

MEMORY_LIMIT = "WORKLOAD_MEMORY_LIMIT"
"""Bytes of address space that each of the worker's processes may have, as `ulimit -v` sets it."""

WITHOUT = "WORKLOAD_WITHOUT"
"""Names of processors that the worker's code does not have, with commas between them."""


def apply() -> None:
    """Put this process and all it forks under the conditions that its environment names."""
    if offset := os.environ.get(CLOCK_OFFSET):
        _set_clock_wrong(float(offset))
    for name in os.environ.get(WITHOUT, "").split(","):
        unregister(name)
    if limit := os.environ.get(MEMORY_LIMIT):
        resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))


def _set_clock_wrong(seconds: float) -> None:
    import time_machine

    # The wall clock goes on, wrong by this much; what counts elapsed time is right, as on a real host.
    time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True).start()
