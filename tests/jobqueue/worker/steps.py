"""What several tests of the worker do with jobs and signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.dispatch import Signal


def raising(error: BaseException) -> Callable[..., Any]:
    """A processor that raises it."""

    def behaviour(**_: Any) -> None:
        raise error

    return behaviour


@contextmanager
def listening(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """What is sent with the signal inside the block."""
    details_of_all: list[dict[str, Any]] = []

    def listener(**details: Any) -> None:
        details_of_all.append(details)

    signal.connect(listener)
    try:
        yield details_of_all
    finally:
        signal.disconnect(listener)


@contextmanager
def heard_by(signal: Signal, listener: Callable[..., Any]) -> Iterator[None]:
    """The listener hears the signal inside the block."""
    signal.connect(listener)
    try:
        yield
    finally:
        signal.disconnect(listener)
