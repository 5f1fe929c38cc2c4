"""The registered processors and reconcilers: the only functions a worker ever runs."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from django.conf import settings as django_settings

from jobqueue.callables import dotted, is_coroutine_function, refusal, trouble_with
from jobqueue.conf import get_settings
from jobqueue.coroutines import finish_call
from jobqueue.exceptions import (
    DuplicateProcessor,
    InvalidPayload,
    InvalidProcessor,
    InvalidReconciler,
    UnknownProcessor,
    UnknownQueue,
)
from jobqueue.retry import RetryPolicy, as_policy
from jobqueue.values import LONGEST, SHORTEST_RUN, Check, Seconds, Text, shown

logger = logging.getLogger(__name__)

LONGEST_NAME = 100
"""Of processors and queues, in characters: what the job's row holds."""
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OUR_METRICS = ("job_processing_", "jobqueue_")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Returned by a processor that found nothing to do, with the reason."""

    reason: str


Answer: TypeAlias = Skipped | Awaitable[Skipped | None] | None
"""What the function of a processor returns; a coroutine function returns what is to be awaited."""


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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _METRIC.fullmatch(self.name):
            raise InvalidProcessor(
                f"a counter's name must be letters, digits and underscores, such as 'invoices_total', "
                f"not {shown(self.name)}: one that is no name would make /metrics unreadable"
            )
        if self.name.startswith(_OUR_METRICS):
            raise InvalidProcessor(
                f"a counter's name must not start with {' or '.join(_OUR_METRICS)}, as the job queue's own, "
                f"not be {self.name!r}"
            )
        for argument in ("payload_key", "value"):
            if not isinstance(getattr(self, argument), str):
                raise InvalidProcessor(
                    f"the {argument} of counter {self.name!r} must be text, "
                    f"not {shown(getattr(self, argument))}"
                )
        if not isinstance(self.known, tuple | list | set | frozenset) or not all(map(_is_label, self.known)):
            raise InvalidProcessor(
                f"what counter {self.name!r} has as known must be a tuple of printable texts, "
                f"not {shown(self.known)}"
            )
        if not _is_label(self.value):
            raise InvalidProcessor(
                f"the value of counter {self.name!r} must be printable text, not {shown(self.value)}"
            )

    def type_of(self, payload: dict[str, Any]) -> str:
        """What the payload says its type is."""
        return self.value or str(payload.get(self.payload_key, ""))

    def label_of(self, payload: dict[str, Any]) -> str:
        """The `type` label for a job with this payload: one of a bounded number."""
        named = self.type_of(payload)
        if self.value or named in self.known:
            return named
        return OTHER if self.known else _bounded_label(self.name, named)


def _is_label(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


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
        why = refusal(self.function, tuple(payload))
        if why:
            raise InvalidPayload(f"{self.name} does not take this payload: {why}")

    def __call__(self, **payload: Any) -> Any:
        """Run the function in this process, as a plain call. Returns None, or `Skipped`.

        A coroutine is run to its end; where an event loop runs already it is returned, to be awaited there.
        """
        answer = self.function(**payload)
        return answer if answer is None else finish_call(answer)


_processors: dict[str, Processor] = {}
_reconcilers: dict[str, Callable[..., dict[str, int]]] = {}


def processor(
    name: str,
    *,
    queue: str = "",
    retry: RetryPolicy | int | dict[str, Any] | None = None,
    timeout: float | timedelta | None = None,
    counter: TypeCounter | None = None,
) -> Callable[[Callable[..., Answer]], Processor]:
    """Register the decorated function as the processor `name` of `queue`.

    The function takes the payload as keyword arguments and returns None, or `Skipped(reason)`; a coroutine
    function is run to its end. It may run more than once for one job, so its effects must be guarded. The
    decorated name stays callable. `retry` is a RetryPolicy, a number of retries, or a dict of RetryPolicy's
    arguments; `timeout` a timedelta or seconds.

    Raises InvalidProcessor, when the module is imported, for what could not run: it names the argument.
    """
    described = _described(name, queue, retry, timeout, counter)

    def register(function: Callable[..., Answer]) -> Processor:
        if isinstance(function, Processor):
            function = function.function
        why = trouble_with(function)
        if why:
            raise InvalidProcessor(f"processor {name!r}: the function {why}")
        return add(replace(described, function=function))

    return register


_TIME_LIMIT = Seconds(LONGEST.total_seconds(), least=SHORTEST_RUN)


def _described(name: Any, queue: Any, retry: Any, timeout: Any, counter: Any) -> Processor:
    """The processor without its function, each argument checked."""
    if callable(name):
        raise InvalidProcessor(
            f'write @processor("some.name", queue="…") above {dotted(name)}: the name is a text, '
            "and the decorator is called with it"
        )
    _checked(f"processor {shown(name)}", "name", Text(LONGEST_NAME), name)
    owner = f"processor {name!r}"
    return Processor(
        name,
        _checked(owner, "queue", Text(LONGEST_NAME), queue),
        _no_function,
        None if retry is None else _checked(owner, "retry", as_policy, retry),
        None if timeout is None else _checked(owner, "timeout", _TIME_LIMIT, timeout),
        None if counter is None else _checked(owner, "counter", _counter, counter),
    )


def _checked(owner: str, argument: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise InvalidProcessor(f"{owner}: {argument} {error}") from None


def _counter(value: Any) -> TypeCounter:
    if not isinstance(value, TypeCounter):
        raise ValueError(f"must be a TypeCounter, not {shown(value)}")
    return value


def _no_function(**payload: Any) -> None:
    raise NotImplementedError


def add(described: Processor) -> Processor:
    """Register a processor; DuplicateProcessor if another function has its name."""
    known = _processors.get(described.name)
    if known is not None and dotted(known.function) != dotted(described.function):
        raise DuplicateProcessor(
            f"processor {described.name!r} is registered twice: by {dotted(known.function)} "
            f"and {dotted(described.function)}"
        )
    _check_counter(described)
    _processors[described.name] = described
    return described


def _check_counter(described: Processor) -> None:
    """Two counters that /metrics would show under one name make it unreadable."""
    counter = described.counter
    for other in _processors.values() if counter else ():
        known = other.counter
        if counter and known and counter.name != known.name and _shown_as(counter) == _shown_as(known):
            raise InvalidProcessor(
                f"processor {described.name!r}: the counter {counter.name!r} would be shown as "
                f"{_shown_as(counter)}_total, as {known.name!r} of {other.name!r} is; use one name"
            )


def _shown_as(counter: TypeCounter) -> str:
    return counter.name.removesuffix("_total")


def get_processor(name: str) -> Processor:
    """The processor `name`, or UnknownProcessor with what is close to it."""
    try:
        return _processors[name]
    except (KeyError, TypeError):
        raise UnknownProcessor(f"no processor named {shown(name)}; {name_meant(name)}") from None


def is_registered(name: str) -> bool:
    """Whether there is a processor of that name here."""
    return name in _processors


def name_meant(name: object) -> str:
    """Which processor may be meant by a name that none has: "did you mean …?", or those there are."""
    near = difflib.get_close_matches(str(name), _processors, n=1) if isinstance(name, str) else []
    return f"did you mean {near[0]!r}?" if near else f"registered are: {', '.join(sorted(_processors))}"


def why_unfit(name: str, payload: Any) -> str:
    """Why this process cannot run a job of this processor with this payload; empty if it can.

    Asked of every job that is claimed.
    """
    registered = _processors.get(name)
    if registered is None:
        return f"there is no processor {name!r}"
    if not isinstance(payload, dict):
        return ""  # no version of the code would take that: let it fail
    why = refusal(registered.function, tuple(payload))
    return f"{name} does not take this payload: {why}" if why else ""


def retry_policy_of(name: str) -> RetryPolicy:
    """The policy in force for a processor; the default for one that is not registered here."""
    registered = _processors.get(name)
    return registered.retry_policy if registered else get_settings().retry


def delay_after(name: str, failures: int, error: BaseException) -> timedelta | None:
    """How long a job waits after its `failures`-th failure, None if it has failed for good.

    Never raises, whatever a policy of a project's own does: the default one takes its place.
    """
    try:
        delay = retry_policy_of(name).next_delay(failures, error)
        return None if delay is None else min(max(delay, timedelta(0)), LONGEST)
    except Exception:
        logger.exception("the retry policy of processor %r failed; the default one is used", name)
        return RetryPolicy().next_delay(failures, error)


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
    counted by kind, and must be safe to run twice at once. Rules hear of `save()` alone, so this
    is for rows that `bulk_create()`, `update()` or SQL wrote::

        @reconciler("shop")
        def ship_what_was_paid(*, full: bool) -> dict[str, int]:
            orders = Order.objects.filter(status="paid", shipped_at=None)
            for order in orders:
                enqueue("order.ship", order_id=order.pk, unique_key=f"ship:{order.pk}")
            return {"orders": len(orders)}

    Raises InvalidReconciler for what could not be called, or would not run.
    """
    if callable(name):
        raise InvalidReconciler(f'write @reconciler("shop") above {dotted(name)}: it is called with a name')
    if not isinstance(name, str) or not name:
        raise InvalidReconciler(f"the name of a reconciler must be text, not {shown(name)}")

    def register(function: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
        why = trouble_with(function) or _trouble_with_full(function)
        if why:
            raise InvalidReconciler(f"reconciler {name!r}: the function {why}")
        _reconcilers[name] = function
        return function

    return register


def _trouble_with_full(function: Callable[..., Any]) -> str:
    if is_coroutine_function(function):
        return "is a coroutine function, which nobody awaits; pass a plain one"
    return refusal(function, ("full",))


def all_reconcilers() -> dict[str, Callable[..., dict[str, int]]]:
    """Every registered reconciler by name."""
    return dict(_reconcilers)


def check_queue(name: str) -> str:
    """`name` if it is configured in RQ_QUEUES, else UnknownQueue."""
    configured = django_settings.RQ_QUEUES
    if name not in configured:
        raise UnknownQueue(f"queue {name!r} is not configured; RQ_QUEUES has: {', '.join(configured)}")
    return name
