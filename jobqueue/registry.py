"""The registered processors and reconcilers: the only functions a worker ever runs."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, TypeAlias

from django.conf import settings as django_settings

from jobqueue.conf import get_settings
from jobqueue.coroutines import finish_call
from jobqueue.exceptions import DuplicateProcessor, InvalidPayload, UnknownProcessor, UnknownQueue
from jobqueue.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Skipped:
    """Returned by a processor that found nothing to do, with the reason."""

    reason: str


Answer: TypeAlias = Skipped | Awaitable[Skipped | None] | None
"""What the function of a processor returns; a coroutine function returns what is to be awaited."""


@dataclass(frozen=True, slots=True)
class TypeCounter:
    """A Prometheus counter `<name>{type,status}` that counts the outcomes of a processor.

    `type` is the payload's value under `payload_key`, or the fixed `value`.
    """

    name: str
    payload_key: str = ""
    value: str = ""

    def type_of(self, payload: dict[str, Any]) -> str:
        """The `type` label for a job with this payload."""
        return self.value or str(payload.get(self.payload_key, ""))


@dataclass(frozen=True, slots=True)
class Processor:
    """One kind of job: its name, its queue, its function and its limits."""

    name: str
    queue: str
    function: Callable[..., Answer]
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

    def __call__(self, **payload: Any) -> Any:
        """Run the function in this process, as a plain call. Returns None, or `Skipped`.

        A coroutine is run to its end; where an event loop runs already it is returned, to be awaited there.
        """
        answer = self.function(**payload)
        return answer if answer is None else finish_call(answer)


@lru_cache(maxsize=4096)
def _refusal(function: Callable[..., Any], names: tuple[str, ...]) -> str:
    """Why the function does not take keyword arguments of these names; empty if it does."""
    signature = inspect.signature(function)
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
) -> Callable[[Callable[..., Answer]], Processor]:
    """Register the decorated function as the processor `name` of `queue`.

    The function takes the payload as keyword arguments and returns None, or `Skipped(reason)`. It may be a
    coroutine function; the code of Django's that it awaits uses the database connections of its job's thread.
    It may run more than once for one job, so its effects must be guarded. The decorated name
    stays callable. `timeout` is in seconds.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout

    def register(function: Callable[..., Answer]) -> Processor:
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
    """Its name, or that of what it stands for: partial functions and instances have none of their own."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def get_processor(name: str) -> Processor:
    """The processor `name`, or UnknownProcessor with what is close to it."""
    try:
        return _processors[name]
    except KeyError:
        near = difflib.get_close_matches(str(name), _processors, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"registered are: {', '.join(sorted(_processors))}"
        raise UnknownProcessor(f"no processor named {name!r}; {hint}") from None


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
