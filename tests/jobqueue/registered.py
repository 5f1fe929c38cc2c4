"""Functions that may be registered, and others."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobqueue.jobs import processor


def generator() -> Iterator[None]:
    """Never starts when it is called."""
    yield


async def asynchronous_generator() -> AsyncIterator[None]:
    """Never starts when it is called, nor when it is awaited."""
    yield


async def coroutine(number: int = 1) -> None:
    """Runs when it is awaited."""


def in_passing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as others write them."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Shop:
    """Whose methods may be processors."""

    def __call__(self, number: int) -> None:
        """Ships one."""

    def ship(self, number: int) -> None:
        """Ships one."""

    def ship_many(self) -> Iterator[None]:
        """Never starts."""
        yield

    @staticmethod
    def close(number: int) -> None:
        """Closes one."""

    @classmethod
    def open(cls, number: int) -> None:
        """Opens one."""


class GeneratingShop:
    """A callable whose call is a generator."""

    def __call__(self) -> Iterator[None]:
        """Never starts."""
        yield


def register(function: Any, **arguments: Any) -> Any:
    return processor("sample.trial", **{"queue": "email"} | arguments)(function)


GENERATORS: dict[str, Any] = {
    "generator": generator,
    "asynchronous generator": asynchronous_generator,
    "partial": functools.partial(generator),
    "under a decorator": in_passing(generator),
    "asynchronous under two decorators": in_passing(in_passing(asynchronous_generator)),
    "context manager": contextmanager(generator),
    "bound method": Shop().ship_many,
    "partial of a method": functools.partial(Shop().ship_many),
    "instance": GeneratingShop(),
    "lambda": lambda: (yield),
}
