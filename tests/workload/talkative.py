"""Jobs that log: in their thread, in one that they start, in an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading

from jobqueue.jobs import current_job, processor
from tests.workload.processors import _ONE_RETRY, _have_effect, _note_start, client, gate_key

logger = logging.getLogger("workload.talkative")


def _attempt() -> int:
    job = current_job()
    return job.attempt if job else 0


@processor("workload.log", queue="settlement", retry=_ONE_RETRY)
def log(name: str) -> None:
    """Says something, has a thread say something, and fails at its first attempt."""
    number = _attempt()
    logger.info("%s in attempt %d", name, number)
    thread = threading.Thread(target=logger.warning, args=("%s from a thread", name))
    thread.start()
    thread.join()
    if number == 1:
        raise ValueError("once")
    _have_effect(name)


@processor("workload.log_in_loop", queue="settlement")
async def log_in_loop(name: str) -> None:
    """Says something in the loop, in a task of it, and in a thread that the loop waits for."""
    logger.info("%s in the loop", name)
    await asyncio.create_task(_say(f"{name} in a task"))
    await asyncio.to_thread(logger.info, "%s in a thread of the loop", name)


async def _say(text: str) -> None:
    logger.info(text)


@processor("workload.log_and_wait", queue="settlement")
def log_and_wait(name: str) -> None:
    """Says that it waits, and waits for its gate."""
    logger.info("%s waits", name)
    _note_start(name)
    while client().blpop([gate_key(name)], timeout=1) is None:
        pass
    _have_effect(name)


@processor("workload.log_and_block", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def log_and_block(name: str) -> None:
    """Says so, and waits for ever in one call into C."""
    logger.info("%s blocks in attempt %d", name, _attempt())
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
