"""How an executor works: one object from the command line to the executor."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

EXIT_STUCK_JOB = 70
EXIT_JOBS_LEFT = 71
EXIT_BROKEN = 72
EXIT_RETIRED = 73
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Options:
    """How an executor works."""

    name: str
    queues: Sequence[str]
    threads: int
    shutdown_timeout: float
    burst: bool = False
    max_jobs: int | None = None
    max_idle_time: float | None = None
    reconciles: bool = True
    max_jobs_per_process: int | None = None
    """Jobs after which the process gives way to a fresh one."""
    max_memory: int | None = None
    """Bytes of memory in use from which on it does so too, between jobs."""
    supervisor: int | None = None
    """Process id of the supervisor that hands back what an ended executor left; None if there is none."""
    core: int | None = None
    """The core that the threads keep to while there are more short jobs than threads; None is any."""
