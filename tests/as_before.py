"""Each test leaves the process as it found it: signals and language. Loaded with `-p tests.as_before`."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from django.utils import translation

TAKEN = (signal.SIGINT, signal.SIGTERM)
"""A worker that a test runs in this process takes these for itself."""


@pytest.fixture(autouse=True)
def _process_is_as_before() -> Iterator[None]:
    """Give back the signals, and the language that a page in another one left."""
    before = [signal.getsignal(number) for number in TAKEN]
    yield
    translation.deactivate()
    for number, handler in zip(TAKEN, before, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
