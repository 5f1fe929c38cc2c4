"""Processors that are coroutines run to their end; what does not run has failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction

from jobqueue.jobs import Discard, RetryLater, Skipped, current_job
from jobqueue.models import Job
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.steps import claimed
from tests.jobqueue.worker.coroutine_steps import (
    Body,
    Perform,
    Status,
    as_coroutine_function,
    failure_of,
    generator,
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


# What runs ------------------------------------------------------------------------------------------


class _Callable:
    def __init__(self, body: Body) -> None:
        self._body = body

    async def __call__(self, **payload: Any) -> Any:
        return self._body(**payload)


def _returning_a_coroutine(body: Body) -> Body:
    return lambda **payload: as_coroutine_function(body)(**payload)


def _returning_a_coroutine_of_a_coroutine(body: Body) -> Body:
    async def run(**payload: Any) -> Any:
        return as_coroutine_function(body)(**payload)

    return run


def _partial(body: Body) -> Body:
    return partial(as_coroutine_function(body))


KINDS = [
    as_coroutine_function,
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
    perform(as_coroutine_function(lambda **_: None))

    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


# What does not run ----------------------------------------------------------------------------------


async def _asynchronous_generator(**_: Any) -> AsyncIterator[int]:
    yield 1


async def _coroutine_of_a_generator(**_: Any) -> Iterator[int]:
    return generator()


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
        (generator, "a generator"),
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
        (lambda **_: (None, generator()), "a generator within a tuple"),
    ],
)
def test_so_has_one_that_returns_calls_which_nobody_runs(body: Body, kinds: str, perform: Perform) -> None:
    outcome = perform(body)

    error_class, text = failure_of(outcome)
    assert (outcome.status, error_class) == (Status.RETRIED, "ProcessorDidNotRun")
    assert text.startswith(f"the processor returned {kinds}, which nobody runs; ")


@pytest.mark.parametrize("answer", [[], [1, "a"], {"done": [generator]}, (None,), {1, 2}])
def test_collections_of_values_are_no_work_to_be_done(answer: Any, perform: Perform) -> None:
    assert perform(lambda **_: answer).status == Status.COMPLETED


def test_an_open_file_is_no_work_to_be_done(perform: Perform, tmp_path: Path) -> None:
    with (tmp_path / "report").open("w") as report:
        assert perform(lambda **_: report).status == Status.COMPLETED
