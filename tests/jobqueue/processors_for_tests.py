"""Sample processors, named by what they do. The fixture `sample_processors` registers them for each test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from jobqueue.jobs import Discard, RetryLater, RetryPolicy, Skipped, TypeCounter, processor
from jobqueue.registry import Processor

SUCCEED = "sample.succeed"
COUNTED = "sample.counted"
ON_REMINDERS = "sample.on_reminders"
ON_SETTLEMENT = "sample.on_settlement"
TAKES_A_NUMBER = "sample.takes_a_number"
SKIP = "sample.skip"
FAIL = "sample.fail"
FAIL_WITHOUT_RETRY = "sample.fail_without_retry"
DISCARD = "sample.discard"
RETRY_LATER = "sample.retry_later"
CALL = "sample.call"


class Broken(Exception):
    """What the failing samples raise."""


def succeed(**payload: Any) -> None:
    """Does nothing, well."""


def takes_a_number(number: int) -> None:
    """Takes exactly one keyword argument."""


def skip(reason: str = "nothing to do") -> Skipped:
    """Finds nothing to do."""
    return Skipped(reason)


def fail(message: str = "broken") -> None:
    """Always fails."""
    raise Broken(message)


def discard(reason: str = "never possible") -> None:
    """Fails for good."""
    raise Discard(reason)


def retry_later(seconds: float = 60, reason: str = "not yet") -> None:
    """Asks for another time."""
    raise RetryLater(seconds, reason)


class Calls:
    """What the processor `sample.call` shall do, and the payloads it was called with."""

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.behaviour: Callable[..., Any] = lambda **_: None

    def __call__(self, **payload: Any) -> Any:
        self.payloads.append(payload)
        return self.behaviour(**payload)


def register() -> Calls:
    """Register every sample; returns what steers and watches `sample.call`."""
    for name, queue in ((SUCCEED, "email"), (ON_REMINDERS, "reminders"), (ON_SETTLEMENT, "settlement")):
        processor(name, queue=queue)(succeed)
    counter = TypeCounter("sample_runs_total", payload_key="kind")
    processor(COUNTED, queue="email", counter=counter)(succeed)
    processor(TAKES_A_NUMBER, queue="email", timeout=timedelta(seconds=7))(takes_a_number)
    processor(SKIP, queue="email", counter=counter)(skip)
    processor(FAIL, queue="email", counter=counter)(fail)
    processor(FAIL_WITHOUT_RETRY, queue="email", retry=RetryPolicy(max_retries=0))(fail)
    processor(DISCARD, queue="email")(discard)
    processor(RETRY_LATER, queue="email")(retry_later)
    calls = Calls()

    def call(**payload: Any) -> Any:
        return calls(**payload)

    called: Processor = processor(CALL, queue="email")(call)
    assert called.name == CALL
    return calls
