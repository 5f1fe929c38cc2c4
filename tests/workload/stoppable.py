"""Jobs that run for minutes, and take a stop in different ways."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from jobqueue.jobs import processor
from tests.workload.processors import _note_start


@processor("workload.loop_for_long", queue="settlement", timeout=600)
def loop_for_long(name: str) -> None:
    """Takes exceptions, but not those of the kind that a processor expects."""
    _note_start(name)
    while True:
        with suppress(Exception):
            time.sleep(0.01)


@processor("workload.sleep_in_loop", queue="settlement", timeout=600)
async def sleep_in_loop(name: str) -> None:
    """Waits in an event loop."""
    _note_start(name)
    await asyncio.sleep(600)


@processor("workload.fail_when_stopped", queue="settlement", timeout=600)
def fail_when_stopped(name: str) -> None:
    """Makes an error of its own of whatever ends it."""
    _note_start(name)
    try:
        while True:
            time.sleep(0.01)
    except BaseException as error:
        raise ValueError("was disturbed") from error
