"""Coroutines end at their time limit, and run in tests and plain calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from jobqueue import registry
from jobqueue.exceptions import ProcessorDidNotRun
from jobqueue.jobs import enqueue, processor
from jobqueue.testing import drain
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.time_limit import TimeLimits
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.steps import claimed
from tests.jobqueue.worker.coroutine_steps import (
    Body,
    Perform,
    Status,
    as_coroutine_function,
    failure_of,
    generator,
    same,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def perform(sample_processors: Calls) -> Callable[..., Outcome]:
    """Performs a job whose processor does what it is given."""

    def run(body: Body, limit: Callable[..., Any] | None = None, timeout: float = 60) -> Outcome:
        sample_processors.behaviour = body
        job = claimed(CALL)
        job.timeout = timeout
        return performing.perform(Claim(job, "default"), limit)

    return run


# Time limits ----------------------------------------------------------------------------------------


@pytest.fixture
def limits() -> Iterator[TimeLimits]:
    """Limits that a watcher enforces."""
    watched, ended = TimeLimits(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            watched.enforce()

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield watched
    ended.set()
    watcher.join()


async def _sleep(**_: Any) -> None:
    await asyncio.sleep(600)


async def _gather(**_: Any) -> None:
    await asyncio.gather(asyncio.sleep(600), asyncio.sleep(600))


async def _read_from_nobody(**_: Any) -> None:
    server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(600), "127.0.0.1", 0)
    reader, _writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()


async def _swallow_cancellation(**_: Any) -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


async def _return_when_cancelled(**_: Any) -> None:
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        return


async def _keep_the_loop(**_: Any) -> None:
    while True:
        sum(range(1000))


def _loop() -> None:
    while True:
        time.sleep(0.01)


async def _keep_the_thread(**_: Any) -> None:
    await sync_to_async(_loop)()


@pytest.mark.parametrize(
    "body",
    [
        _sleep,
        _gather,
        _read_from_nobody,
        _swallow_cancellation,
        _return_when_cancelled,
        _keep_the_loop,
        _keep_the_thread,
    ],
)
def test_the_time_limit_of_a_coroutine_is_kept(
    body: Callable[..., Awaitable[None]], limits: TimeLimits, perform: Perform
) -> None:
    begin = time.monotonic()

    outcome = perform(body, limits.limit, timeout=0.2)

    assert failure_of(outcome) == ("JobTimeout", "the job ran longer than its limit of 0.2 seconds")
    assert time.monotonic() - begin < 4
    assert limits.running() == []


@pytest.mark.parametrize("body", [_sleep, _swallow_cancellation, _keep_the_loop, _keep_the_thread])
def test_a_coroutine_past_its_time_limit_leaves_the_next_job_alone(
    body: Callable[..., Awaitable[None]], limits: TimeLimits, perform: Perform
) -> None:
    perform(body, limits.limit, timeout=0.1)

    for _ in range(3):
        assert (
            perform(as_coroutine_function(lambda **_: time.sleep(0.1)), limits.limit).status
            == Status.COMPLETED
        )


# Tests and plain calls ------------------------------------------------------------------------------


@pytest.fixture
def ran() -> list[int]:
    """The numbers that the processor `sample.async` was called with."""
    numbers: list[int] = []

    async def note(number: int) -> None:
        numbers.append(await same(number))

    processor("sample.async", queue="email")(note)
    return numbers


def test_drain_runs_coroutines(ran: list[int]) -> None:
    enqueue("sample.async", number=5)

    assert [outcome.status for outcome in drain()] == [Status.COMPLETED]
    assert ran == [5]


def test_drain_runs_coroutines_in_a_test_that_is_one(ran: list[int]) -> None:
    enqueue("sample.async", number=8)

    async def drain_there() -> list[Outcome]:
        return await sync_to_async(drain)()

    assert [outcome.status for outcome in async_to_sync(drain_there)()] == [Status.COMPLETED]
    assert ran == [8]


def test_a_plain_call_runs_a_coroutine(ran: list[int]) -> None:
    assert registry.get_processor("sample.async")(number=6) is None
    assert ran == [6]


def test_a_plain_call_in_a_loop_is_awaited(ran: list[int]) -> None:
    async def call() -> None:
        await registry.get_processor("sample.async")(number=7)

    asyncio.run(call())
    assert ran == [7]


def test_a_plain_call_of_a_generator_says_that_it_did_not_run() -> None:
    made = registry.Processor("sample.generator", "email", generator)  # type: ignore[arg-type]

    with pytest.raises(ProcessorDidNotRun, match="its body did not run"):
        made()
