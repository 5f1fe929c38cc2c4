"""What a processor returned whose work is still to be done: coroutines are run, the rest is refused."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from io import IOBase
from typing import Any, Protocol

from asgiref.sync import async_to_sync

from jobqueue.exceptions import ProcessorDidNotRun

logger = logging.getLogger(__name__)

# Seconds that tasks have to end in once they are cancelled, before they are closed, and again after that.
_PATIENCE = 1.0


class Within(Protocol):
    """A time limit that a thread runs under, and the loop's thread that works for it."""

    deadline: float
    """The monotonic time when it is up."""

    def enter_loop(self, thread: int, end: Callable[[], object]) -> None:
        """The limit counts for this thread too; `end` ends what the loop runs before the limit is up."""

    def leave_loop(self) -> None:
        """It does not any more."""

    def error(self) -> BaseException:
        """What is raised when it is up, or was ended before."""


def finish(answer: object, within: Within | None = None) -> object:
    """What a processor's run came to, if it returned `answer`: a coroutine is run to its end, in this thread.

    So code of Django's that `sync_to_async` leads back here uses this thread's connections. Tasks that are
    left then are cancelled. Raises what the coroutine raises, and ProcessorDidNotRun for a generator.
    """
    if inspect.isawaitable(answer):
        answer = async_to_sync(_run_to_its_end, force_new_loop=True)(answer, within)
    return _checked(answer)


def finish_call(answer: object) -> object:
    """`finish` for a plain call. Where an event loop runs a coroutine is returned as it is, to be awaited."""
    if inspect.isawaitable(answer) and _is_loop_running():
        return answer
    return finish(answer)


def _checked(answer: object) -> object:
    if _is_lazy(answer):
        raise ProcessorDidNotRun(
            f"the processor returned {_kind(answer)}, so its body did not run; "
            "a processor is a function or a coroutine function without yield"
        )
    if isinstance(answer, Future | asyncio.Future):
        raise ProcessorDidNotRun(
            f"the processor returned {_kind(answer)}, and nobody waits for its work; "
            "return future.result(), or await it"
        )
    for held in _held_by(answer):
        if _is_unbegun(held):
            raise ProcessorDidNotRun(
                f"the processor returned {_kind(held)} within {_kind(answer)}, which nobody runs; "
                "await asyncio.gather(...), or go through it"
            )
    return answer


def _held_by(answer: object) -> Iterable[object]:
    if isinstance(answer, dict):
        return answer.values()
    return answer if isinstance(answer, list | tuple | set | frozenset) else ()


def _is_unbegun(held: object) -> bool:
    """Whether it is the call of a coroutine or a generator function, of which nothing has run."""
    if inspect.iscoroutine(held) and inspect.getcoroutinestate(held) == inspect.CORO_CREATED:
        held.close()  # or Python warns of it
        return True
    return inspect.isgenerator(held) and inspect.getgeneratorstate(held) == inspect.GEN_CREATED


def _is_lazy(answer: object) -> bool:
    """Whether work is still in it that starts when somebody goes through it, enters it or calls it."""
    if isinstance(answer, Iterator | AsyncIterator):
        return not isinstance(answer, IOBase)  # an open file is what a job has left, not its work
    body = getattr(answer, "gen", None)  # what contextmanager() makes keeps it there
    if inspect.isgenerator(body) or inspect.isasyncgen(body):
        return True
    return isinstance(answer, functools.partial) or inspect.isroutine(answer)


def _kind(answer: object) -> str:
    name = type(answer).__name__.strip("_").replace("_", " ")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


# In the loop ------------------------------------------------------------------------------------------


async def _run_to_its_end(answer: Awaitable[Any], within: Within | None) -> Any:
    task = asyncio.ensure_future(_awaited(answer))
    try:
        await _wait(task, within)
        is_late = not task.done()
    finally:
        await _end_others(task)
    if is_late and within is not None:
        raise within.error()
    return task.result()


async def _wait(task: asyncio.Task[Any], within: Within | None) -> None:
    if within is None:
        await asyncio.wait({task})
        return
    loop = asyncio.get_running_loop()
    end = loop.create_future()
    within.enter_loop(threading.get_ident(), lambda: loop.call_soon_threadsafe(_set, end))
    try:
        left = within.deadline - time.monotonic()
        await asyncio.wait({task, end}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        within.leave_loop()


def _set(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)


async def _awaited(answer: Any) -> Any:
    """What it comes to, also if that is to be awaited in its turn."""
    while inspect.isawaitable(answer):
        answer = await answer
    return answer


async def _end_others(task: asyncio.Task[Any]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if not others:
        return
    if task.done():
        logger.warning("a job ended before %d of its tasks; they are cancelled", len(others))
    await _end(others)


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel them, and close those that do not care."""
    for task in tasks:
        task.cancel()
    _ended, deaf = await asyncio.wait(tasks, timeout=_PATIENCE)
    for task in deaf:
        with suppress(Exception):  # it may run, in another thread's code, or refuse this too
            task.get_coro().close()
        task.cancel()
    if deaf:
        closed, _running = await asyncio.wait(deaf, timeout=_PATIENCE)
        for task in closed:
            task.cancelled() or task.exception()  # that it was closed is no news
