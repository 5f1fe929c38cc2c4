"""The registered processors and reconcilers: the only functions a worker ever runs."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings

from jobqueue.conf import get_settings
from jobqueue.exceptions import DuplicateProcessor, InvalidPayload, UnknownProcessor, UnknownQueue
from jobqueue.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Skipped:
    """Returned by a processor that found nothing to do, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class TypeCounter:
    """A Prometheus counter `<name>{type,status}` that counts the outcomes of a processor.

    `type` is the payload's value under `payload_key`, or the fixed `value`. With `known`, whatever else a
    payload says counts as "other"; without, so does what comes after the first hundred values, for each
    value is a series that is kept for ever.
    """

    name: str
    payload_key: str = ""
    value: str = ""
    known: tuple[str, ...] = ()

    def type_of(self, payload: dict[str, Any]) -> str:
        """What the payload says its type is."""
        return self.value or str(payload.get(self.payload_key, ""))

    def label_of(self, payload: dict[str, Any]) -> str:
        """The `type` label for a job with this payload: one of a bounded number."""
        named = self.type_of(payload)
        if self.value or named in self.known:
            return named
        return OTHER if self.known else _bounded_label(self.name, named)


OTHER = "other"
"""The label of types that have none of their own."""
_MOST_LABELS = 100
_LONGEST_LABEL = 100
_labels: dict[str, set[str]] = {}


def _bounded_label(counter: str, named: str) -> str:
    labels = _labels.setdefault(counter, set())
    if named in labels:
        return named
    if len(labels) >= _MOST_LABELS or len(named) > _LONGEST_LABEL:
        return OTHER
    labels.add(named)
    return named


@dataclass(frozen=True, slots=True)
class Processor:
    """One kind of job: its name, its queue, its function and its limits."""

    name: str
    queue: str
    function: Callable[..., Skipped | None]
    retry: RetryPolicy | None = None
    timeout: float | None = None
    counter: TypeCounter | None = None

    @property
    def retry_policy(self) -> RetryPolicy:
        """The policy in force: settings by name, then the decorator's, then the default."""
        settings = get_settings()
        return settings.processor_retry.get(self.name) or self.retry or settings.retry

    @property
    def time_limit(self) -> float:
        """Seconds one attempt may take."""
        return self.timeout or get_settings().timeout

    def check_payload(self, payload: dict[str, Any]) -> None:
        """Raise InvalidPayload unless the function takes exactly these keyword arguments."""
        refusal = _refusal(self.function, tuple(payload))
        if refusal:
            raise InvalidPayload(f"{self.name} does not take this payload: {refusal}")

    def __call__(self, **payload: Any) -> Skipped | None:
        """Run the function in this process, as a plain call."""
        return self.function(**payload)


@lru_cache(maxsize=4096)
def _refusal(function: Callable[..., Any], names: tuple[str, ...]) -> str:
    """Why the function does not take keyword arguments of these names; empty if it does."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return ""  # of some functions written in C nobody knows
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        return f"{error}. It takes {signature}."
    return ""


_processors: dict[str, Processor] = {}
_reconcilers: dict[str, Callable[..., dict[str, int]]] = {}


def processor(
    name: str,
    *,
    queue: str,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    counter: TypeCounter | None = None,
) -> Callable[[Callable[..., Skipped | None]], Processor]:
    """Register the decorated function as the processor `name` of `queue`.

    The function takes the payload as keyword arguments and returns None, or `Skipped(reason)`.
    It may run more than once for one job, so its effects must be guarded. The decorated name
    stays callable. `timeout` is in seconds.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout

    def register(function: Callable[..., Skipped | None]) -> Processor:
        known = _processors.get(name)
        if known is not None and _dotted(known.function) != _dotted(function):
            raise DuplicateProcessor(
                f"processor {name!r} is registered twice: by {_dotted(known.function)} "
                f"and {_dotted(function)}"
            )
        registered = Processor(name, queue, function, retry, seconds, counter)
        _processors[name] = registered
        return registered

    return register


def _dotted(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def get_processor(name: str) -> Processor:
    """The processor `name`, or UnknownProcessor with what is close to it."""
    try:
        return _processors[name]
    except KeyError:
        near = difflib.get_close_matches(str(name), _processors, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"registered are: {', '.join(sorted(_processors))}"
        raise UnknownProcessor(f"no processor named {name!r}; {hint}") from None


def why_unfit(name: str, payload: Any) -> str:
    """Why this process cannot run a job of this processor with this payload; empty if it can.

    Asked of every job that is claimed.
    """
    registered = _processors.get(name)
    if registered is None:
        return f"there is no processor {name!r}"
    if not isinstance(payload, dict):
        return ""  # no version of the code would take that: let it fail
    refusal = _refusal(registered.function, tuple(payload))
    return f"{name} does not take this payload: {refusal}" if refusal else ""


def retry_policy_of(name: str) -> RetryPolicy:
    """The policy in force for a processor; the default for one that is not registered here."""
    registered = _processors.get(name)
    return registered.retry_policy if registered else get_settings().retry


def all_processors() -> list[Processor]:
    """Every registered processor, by name."""
    return [_processors[name] for name in sorted(_processors)]


def unregister(name: str) -> None:
    """Forget the processor `name` (tests and shells)."""
    _processors.pop(name, None)


def reconciler(name: str) -> Callable[[Callable[..., dict[str, int]]], Callable[..., dict[str, int]]]:
    """Register a function that creates the jobs which should exist and do not.

    It is called as `function(full=bool)`: quickly and often with `full=False` inside the
    workers, thoroughly with `full=True` by `jobqueue_reconcile`. It returns what it mended,
    counted by kind, and must be safe to run twice at once.
    """

    def register(function: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
        _reconcilers[name] = function
        return function

    return register


def all_reconcilers() -> dict[str, Callable[..., dict[str, int]]]:
    """Every registered reconciler by name."""
    return dict(_reconcilers)


def check_queue(name: str) -> str:
    """`name` if it is configured in RQ_QUEUES, else UnknownQueue."""
    configured = django_settings.RQ_QUEUES
    if name not in configured:
        raise UnknownQueue(f"queue {name!r} is not configured; RQ_QUEUES has: {', '.join(configured)}")
    return name
