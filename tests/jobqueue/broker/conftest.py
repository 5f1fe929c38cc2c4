"""Fixtures of the broker's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobqueue.broker.bell import Bell
from jobqueue.worker.loops import WakePipe
from tests.jobqueue.steps import QUEUES


@pytest.fixture
def bell() -> Iterator[Callable[[float], bool]]:
    """Waits for the bells of all queues, so many seconds at most; whether one rang."""
    listening, wake = Bell(QUEUES), WakePipe()
    yield lambda seconds: listening.wait(seconds, wake.fileno())
    listening.leave()
