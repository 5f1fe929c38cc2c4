"""Each test leaves the process as it found it: signals, language, zone. Loaded with `-p tests.as_before`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.utils import timezone, translation

TAKEN = (signal.SIGINT, signal.SIGTERM)
"""A worker that a test runs in this process takes these for itself."""


@contextmanager
def as_before() -> Iterator[None]:
    """Give back the signals, and drop the language and the zone that a page or a job left behind."""
    before = [signal.getsignal(number) for number in TAKEN]
    try:
        yield
    finally:
        translation.deactivate()
        timezone.deactivate()
        for number, handler in zip(TAKEN, before, strict=True):
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _process_is_as_before() -> Iterator[None]:
    with as_before():
        yield
