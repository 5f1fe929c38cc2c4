"""Processors that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from jobqueue.worker.outcomes import Outcome, OutcomeStatus

Status = OutcomeStatus


Body = Callable[..., Any]


Perform = Callable[..., Outcome]


def failure_of(outcome: Outcome) -> tuple[str, str]:
    """The class and text of the error that an outcome keeps."""
    assert outcome.failure is not None
    return outcome.failure.error_class, outcome.failure.message


def as_coroutine_function(body: Body) -> Body:
    async def run(**payload: Any) -> Any:
        await asyncio.sleep(0)
        return body(**payload)

    return run


def generator(**_: Any) -> Iterator[int]:
    yield 1


async def same(number: int) -> int:
    await asyncio.sleep(0)
    return number
