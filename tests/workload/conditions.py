"""Bad conditions that a test puts its workers under, through their environment."""

from __future__ import annotations

import errno
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

NO_SHARED_MEMORY = "WORKLOAD_NO_SHARED_MEMORY"
"""The worker's host has no /dev/shm: neither files nor locks of `multiprocessing` can be made there."""


def apply() -> None:
    """Put this process and all it forks under the conditions that its environment names."""
    if offset := os.environ.get(CLOCK_OFFSET):
        _set_clock_wrong(float(offset))
    for name in os.environ.get(WITHOUT, "").split(","):
        unregister(name)
    if NO_SHARED_MEMORY in os.environ:
        _have_no_shared_memory()
    if limit := os.environ.get(MEMORY_LIMIT):
        resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))


def _have_no_shared_memory() -> None:
    import _multiprocessing
    from multiprocessing import heap

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    heap.Arena._dir_candidates = ["/dev/shm-that-is-not-there"]
    _multiprocessing.SemLock = refuse


def _set_clock_wrong(seconds: float) -> None:
    import time_machine

    # The wall clock goes on, wrong by this much; what counts elapsed time is right, as on a real host.
    time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True).start()
