"""The job that every Python peer runs: one RPUSH of its number, for "io5" after 5 ms of sleep."""

from __future__ import annotations

import os
import threading
import time

import redis

EFFECTS = "benchmark:effects"
"""The list of what ran: "<number> <seconds since the epoch>" for each run."""

EFFECTS_DATABASE = 5
PADDING = "x" * 140
"""Makes a job's arguments about 200 bytes of JSON."""

_IO_SECONDS = 0.005
_own = threading.local()


def connect() -> redis.Redis:
    """A connection of its own to the Redis that the effects are noted in."""
    return redis.Redis(
        host="127.0.0.1",
        port=int(os.environ["BENCHMARK_REDIS_PORT"]),
        db=EFFECTS_DATABASE,
        single_connection_client=True,
    )


def run(work: str, number: int, padding: str) -> None:
    """Do the work of one job."""
    if work == "io5":
        time.sleep(_IO_SECONDS)
    effect = f"{number} {time.time():.6f}"
    try:
        connection = _own.connection
    except AttributeError:
        connection = _own.connection = connect()
    connection.rpush(EFFECTS, effect)
