"""Processors that are coroutine functions run; what returns work that is still to be done has not run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction

from jobqueue import registry
from jobqueue.exceptions import ProcessorDidNotRun
from jobqueue.jobs import Discard, RetryLater, Skipped, current_job, enqueue, processor
from jobqueue.models import Job
from jobqueue.testing import drain
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.time_limit import TimeLimits
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.steps import claimed

pytestmark = pytest.mark.django_db

Status = OutcomeStatus
Body = Callable[..., Any]


@pytest.fixture
def perform(sample_processors: Calls) -> Callable[..., Outcome]:
    """Performs a job whose processor does what it is given."""

    def run(body: Body, limit: Callable[..., Any] | None = None, timeout: float = 60) -> Outcome:
        sample_processors.behaviour = body
        job = claimed(CALL)
        job.timeout = timeout
        return performing.perform(Claim(job, "default"), limit)

    return run


Perform = Callable[..., Outcome]


def failure_of(outcome: Outcome) -> tuple[str, str]:
    """The class and text of the error that an outcome keeps."""
    assert outcome.failure is not None
    return outcome.failure.error_class, outcome.failure.message


# What runs ------------------------------------------------------------------------------------------


class _Callable:
    def __init__(self, body: Body) -> None:
        self._body = body

    async def __call__(self, **payload: Any) -> Any:
        return self._body(**payload)


def _as_coroutine_function(body: Body) -> Body:
    async def run(**payload: Any) -> Any:
        await asyncio.sleep(0)
        return body(**payload)

    return run


def _returning_a_coroutine(body: Body) -> Body:
    return lambda **payload: _as_coroutine_function(body)(**payload)


def _returning_a_coroutine_of_a_coroutine(body: Body) -> Body:
    async def run(**payload: Any) -> Any:
        return _as_coroutine_function(body)(**payload)

    return run


def _partial(body: Body) -> Body:
    return partial(_as_coroutine_function(body))


KINDS = [
    _as_coroutine_function,
    _returning_a_coroutine,
    _returning_a_coroutine_of_a_coroutine,
    _partial,
    _Callable,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_coroutine_runs_to_its_end(kind: Callable[[Body], Body], perform: Perform) -> None:
    ran: list[bool] = []

    outcome = perform(kind(lambda **_: ran.append(True)))

    assert (outcome.status, ran) == (Status.COMPLETED, [True])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_coroutine_answers_counts(kind: Callable[[Body], Body], perform: Perform) -> None:
    outcome = perform(kind(lambda **_: Skipped("nothing to do")))

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "skipped: nothing to do")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no"), Status.RETRIED),
        (Discard("never"), Status.FAILED),
        (RetryLater(5), Status.RETRIED),
        (SystemExit(1), Status.RETRIED),
        (asyncio.CancelledError(), Status.RETRIED),
    ],
)
def test_what_a_coroutine_raises_counts(error: BaseException, status: Status, perform: Perform) -> None:
    async def body() -> None:
        await asyncio.sleep(0)
        raise error

    assert perform(lambda **_: body()).status == status


def test_a_coroutine_knows_its_job_in_all_that_it_awaits(perform: Perform) -> None:
    jobs: list[Job | None] = []

    async def body() -> None:
        jobs.append(current_job())
        await sync_to_async(lambda: jobs.append(current_job()))()
        await asyncio.create_task(_note(jobs))

    outcome = perform(lambda **_: body())

    assert jobs == [outcome.job] * 3
    assert current_job() is None


async def _note(jobs: list[Job | None]) -> None:
    jobs.append(current_job())


def test_djangos_code_in_a_coroutine_uses_the_connection_of_its_jobs_thread(perform: Perform) -> None:
    seen: list[tuple[object, int]] = []

    def look() -> None:
        seen.append((connection.connection, threading.get_ident()))

    async def body() -> None:
        await Group.objects.acreate(name="asynchronous")
        await sync_to_async(look)()

    with transaction.atomic():
        assert perform(lambda **_: body()).status == Status.COMPLETED
        assert Group.objects.filter(name="asynchronous").exists()
        transaction.set_rollback(True)

    assert seen == [(connection.connection, threading.get_ident())]
    assert not Group.objects.filter(name="asynchronous").exists()


def test_tasks_that_a_coroutine_leaves_are_cancelled(
    perform: Perform, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def last_for_ever() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("cancelled")

    async def body() -> None:
        task = asyncio.create_task(last_for_ever())
        await asyncio.sleep(0)
        assert not task.done()

    assert perform(lambda **_: body()).status == Status.COMPLETED
    assert ended == ["cancelled"]
    assert "a job ended before 1 of its tasks" in caplog.text


def test_no_loop_is_left_in_the_thread(perform: Perform) -> None:
    perform(_as_coroutine_function(lambda **_: None))

    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


# What does not run ----------------------------------------------------------------------------------


def _generator(**_: Any) -> Iterator[int]:
    yield 1


async def _asynchronous_generator(**_: Any) -> AsyncIterator[int]:
    yield 1


async def _coroutine_of_a_generator(**_: Any) -> Iterator[int]:
    return _generator()


def _future(**_: Any) -> Future[None]:
    return Future()


def _iterator(**_: Any) -> Iterator[str]:
    return map(str, [1])


@contextmanager
def _context() -> Iterator[None]:
    yield


def _context_manager(**_: Any) -> Any:
    return _context()


def _function(**_: Any) -> Any:
    return _future


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_generator, "a generator"),
        (_asynchronous_generator, "an async generator"),
        (_coroutine_of_a_generator, "a generator"),
        (_future, "a Future"),
        (_iterator, "a map"),
        (_context_manager, "a GeneratorContextManager"),
        (_function, "a function"),
        (lambda **_: partial(_future), "a partial"),
    ],
)
def test_a_processor_that_returns_work_to_be_done_has_failed(body: Body, kind: str, perform: Perform) -> None:
    outcome = perform(body)

    error_class, text = failure_of(outcome)
    assert (outcome.status, error_class) == (Status.RETRIED, "ProcessorDidNotRun")
    assert text.startswith(f"the processor returned {kind}, ")


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (lambda **_: [_coroutine_of_a_generator()], "a coroutine within a list"),
        (lambda **_: {"first": _coroutine_of_a_generator()}, "a coroutine within a dict"),
        (lambda **_: (None, _generator()), "a generator within a tuple"),
    ],
)
def test_so_has_one_that_returns_calls_which_nobody_runs(body: Body, kinds: str, perform: Perform) -> None:
    outcome = perform(body)

    error_class, text = failure_of(outcome)
    assert (outcome.status, error_class) == (Status.RETRIED, "ProcessorDidNotRun")
    assert text.startswith(f"the processor returned {kinds}, which nobody runs; ")


@pytest.mark.parametrize("answer", [[], [1, "a"], {"done": [_generator]}, (None,), {1, 2}])
def test_collections_of_values_are_no_work_to_be_done(answer: Any, perform: Perform) -> None:
    assert perform(lambda **_: answer).status == Status.COMPLETED


def test_an_open_file_is_no_work_to_be_done(perform: Perform, tmp_path: Path) -> None:
    with (tmp_path / "report").open("w") as report:
        assert perform(lambda **_: report).status == Status.COMPLETED


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
            perform(_as_coroutine_function(lambda **_: time.sleep(0.1)), limits.limit).status
            == Status.COMPLETED
        )


# Tests and plain calls ------------------------------------------------------------------------------


@pytest.fixture
def ran() -> list[int]:
    """The numbers that the processor `sample.async` was called with."""
    numbers: list[int] = []

    async def note(number: int) -> None:
        numbers.append(await _same(number))

    processor("sample.async", queue="email")(note)
    return numbers


async def _same(number: int) -> int:
    await asyncio.sleep(0)
    return number


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
    made = registry.Processor("sample.generator", "email", _generator)  # type: ignore[arg-type]

    with pytest.raises(ProcessorDidNotRun, match="its body did not run"):
        made()
