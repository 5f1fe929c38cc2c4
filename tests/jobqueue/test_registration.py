"""What may be registered as a processor: everything else is refused when the module is imported."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue import callables, registry
from jobqueue.exceptions import DuplicateProcessor, InvalidProcessor, InvalidReconciler, JobQueueError
from jobqueue.jobs import RetryPolicy, TypeCounter, enqueue, processor, reconciler
from jobqueue.models import Job
from jobqueue.registry import get_processor
from tests.jobqueue.processors_for_tests import succeed

LONGEST = 100 * 365 * 24 * 3600


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


class AsynchronousShop:
    """A callable whose call is a coroutine."""

    async def __call__(self, number: int) -> None:
        """Ships one."""


class GeneratingShop:
    """A callable whose call is a generator."""

    def __call__(self) -> Iterator[None]:
        """Never starts."""
        yield


class EqualShop:
    """A callable that has no hash, as it is equal to others."""

    def __call__(self) -> None:
        """Ships all."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class NoShop:
    """Cannot be called."""


def _register(function: Any, **arguments: Any) -> Any:
    return processor("sample.trial", **{"queue": "email"} | arguments)(function)


# Functions ----------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("function", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generator_is_refused_for_its_body_would_not_run(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match=r"'sample\.trial': the function .* is a generator"):
        _register(function)


@pytest.mark.parametrize("function", [None, 5, "shop.tasks.ship", ["ship"], NoShop(), classmethod(succeed)])
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match="which cannot be called; pass a function"):
        _register(function)


def test_an_instance_that_cannot_be_told_from_others_is_refused() -> None:
    with pytest.raises(InvalidProcessor, match="has no hash"):
        _register(EqualShop())


@pytest.mark.parametrize("function", [Shop, int, dict, RetryPolicy])
def test_a_class_is_refused(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match="the function is the class"):
        _register(function)


TAKEN: dict[str, Any] = {
    "function": succeed,
    "coroutine": coroutine,
    "coroutine under a decorator": in_passing(coroutine),
    "partial of a coroutine": functools.partial(coroutine),
    "callable": Shop(),
    "callable whose call is a coroutine": AsynchronousShop(),
    "bound method": Shop().ship,
    "static method": Shop.close,
    "method of a class": Shop.open,
    "under a decorator": in_passing(succeed),
    "partial": functools.partial(Shop().ship, number=1),
    "lambda": lambda number: None,
    "anything": lambda *args, **kwargs: None,
}


@pytest.mark.django_db
@pytest.mark.parametrize("function", TAKEN.values(), ids=TAKEN.keys())
def test_whatever_runs_when_it_is_called_or_awaited_is_taken(function: Any) -> None:
    _register(function)

    assert get_processor("sample.trial").function is function
    assert enqueue("sample.trial", number=1).payload == {"number": 1}


def test_a_function_that_does_not_tell_its_parameters_is_refused() -> None:
    with pytest.raises(InvalidProcessor, match="does not tell its parameters"):
        _register(max)


def test_a_function_may_have_two_names() -> None:
    first = processor("sample.first", queue="email")(succeed)
    second = processor("sample.second", queue="reminders", retry=1)(first)

    assert (second.function, second.queue) == (succeed, "reminders")
    assert get_processor("sample.first") is first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(succeed, number=1), functools.partial(succeed, number=2)),
        (lambda: None, None),
        (Shop(), AsynchronousShop()),
    ],
)
def test_two_functions_without_names_of_their_own_are_told_apart(one: Any, other: Any) -> None:
    _register(one)
    with pytest.raises(DuplicateProcessor, match="registered twice"):
        _register(other or (lambda: None))


# Parameters ---------------------------------------------------------------------------------------


def takes_run_at(order_id: int, run_at: str) -> None: ...
def takes_delay(*, delay: int = 0) -> None: ...
def takes_unique_key(unique_key: str = "") -> None: ...
def takes_subject(email: str, subject: str) -> None: ...
def takes_using(using: str, **payload: Any) -> None: ...
def takes_processor(processor: str) -> None: ...


@pytest.mark.parametrize(
    "function",
    [takes_run_at, takes_delay, takes_unique_key, takes_subject, takes_using, takes_processor],
)
def test_a_parameter_that_enqueue_takes_for_itself_is_refused_by_name(function: Any) -> None:
    name = function.__name__.removeprefix("takes_")

    with pytest.raises(InvalidProcessor, match=f"has a parameter '{name}', which enqueue"):
        _register(function)
    with pytest.raises(InvalidProcessor, match=f"has a parameter '{name}'"):
        _register(in_passing(function))


def test_the_names_that_are_refused_are_those_that_enqueue_takes() -> None:
    taken = [
        name
        for name, parameter in inspect.signature(enqueue).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]

    assert sorted(callables.OPTIONS) == sorted(taken)


@pytest.mark.parametrize("function", [lambda number, /: None, lambda number=1, /, **rest: None, len])
def test_a_parameter_by_position_only_is_refused(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match="by position only"):
        _register(function)


# The decorator itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("function", [succeed, coroutine, Shop])
def test_a_decorator_without_parentheses_is_refused_with_how_to_write_it(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match=r'write @processor\("some.name", queue="…"\)'):
        processor(function)


def test_an_error_of_the_registration_is_one_of_the_job_queue() -> None:
    with pytest.raises(JobQueueError):
        processor(succeed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 101, "x" * 150, "a\nb", "a\x00", "a ", 5, None, b"a", ("a",)]
)
@pytest.mark.parametrize("argument", ["name", "queue"])
def test_a_name_that_no_row_can_hold_is_refused(argument: str, name: Any) -> None:
    arguments = {"name": "sample.trial", "queue": "email"} | {argument: name}

    with pytest.raises(InvalidProcessor, match=f"{argument} must be printable text of 1 to 100 characters"):
        processor(**arguments)


def test_without_a_queue_it_is_refused() -> None:
    with pytest.raises(InvalidProcessor, match="processor 'sample.trial': queue must be"):
        processor("sample.trial")


def test_the_longest_name_is_what_a_row_holds() -> None:
    for column in ("processor", "queue"):
        assert Job._meta.get_field(column).max_length == registry.LONGEST_NAME


@pytest.mark.django_db
def test_a_name_of_a_hundred_characters_is_taken() -> None:
    name = "ä" * 100
    processor(name, queue="email")(succeed)

    assert Job.objects.get(pk=enqueue(name).pk).processor == name


# Retries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "policy"),
    [
        (0, RetryPolicy(0)),
        (3, RetryPolicy(3)),
        ({"max_retries": 5, "jitter": 0}, RetryPolicy(5, jitter=0)),
        ({}, RetryPolicy()),
        (RetryPolicy(7), RetryPolicy(7)),
    ],
)
def test_a_number_of_retries_is_a_policy(retry: Any, policy: RetryPolicy) -> None:
    assert _register(succeed, retry=retry).retry_policy == policy


@pytest.mark.parametrize(
    ("retry", "why"),
    [
        (True, "retry must be a RetryPolicy, a whole number of retries"),
        (-1, "retry max_retries must be 0 or more, not -1"),
        (3.0, "retry must be a RetryPolicy"),
        ("3", "retry must be a RetryPolicy"),
        (timedelta(seconds=1), "retry must be a RetryPolicy"),
        (RetryPolicy, "retry must be a RetryPolicy"),
        ({"retries": 3}, "retry has 'retries', which RetryPolicy does not take; did you mean 'max_retries'"),
        ({"max_retries": "x"}, "retry max_retries must be 0 or more, not 'x'"),
        ({5: 1}, "retry has 5, which RetryPolicy does not take"),
    ],
)
def test_retries_that_make_no_sense_are_refused(retry: Any, why: str) -> None:
    with pytest.raises(InvalidProcessor, match=f"processor 'sample.trial': {why}"):
        _register(succeed, retry=retry)


# Time limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timeout",
    ["3m", "", -5, 0, -0.0, math.inf, -math.inf, math.nan, True, False, 10**12, 10**400, [5], 5j]
    + [timedelta(0), timedelta(seconds=-1), timedelta.max],
)
def test_a_time_limit_that_makes_no_sense_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidProcessor, match="timeout must be a number of seconds above 0, at most"):
        _register(succeed, timeout=timeout)


@pytest.mark.parametrize("timeout", [1e-9, timedelta(microseconds=1)])
def test_a_time_limit_in_which_nothing_can_be_done_is_refused(timeout: Any) -> None:
    with pytest.raises(
        InvalidProcessor, match=r"processor 'sample.trial': timeout must be 0.001 seconds or more"
    ):
        _register(succeed, timeout=timeout)


@given(st.one_of(st.floats(1e-3, LONGEST), st.integers(1, LONGEST)))
def test_every_other_time_limit_is_taken_in_seconds(seconds: float) -> None:
    assert _register(succeed, timeout=seconds).time_limit == seconds
    assert _register(succeed, timeout=timedelta(seconds=1)).time_limit == 1


@given(st.one_of(st.floats(), st.integers(), st.text(), st.timedeltas(), st.booleans(), st.binary()))
def test_a_time_limit_is_refused_with_the_named_error_or_usable(timeout: Any) -> None:
    try:
        limit = _register(succeed, timeout=timeout).time_limit
    except InvalidProcessor:
        return
    assert 0 < limit <= LONGEST


# Counters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", ["runs_total", 5, {"name": "runs_total"}, TypeCounter])
def test_a_counter_that_is_none_is_refused(counter: Any) -> None:
    with pytest.raises(InvalidProcessor, match="counter must be a TypeCounter"):
        _register(succeed, counter=counter)


@pytest.mark.parametrize("name", ["", "runs total", "1_total", "läufe_total", "runs-total", 'a"b', None, 5])
def test_a_counter_whose_name_would_spoil_the_metrics_is_refused(name: Any) -> None:
    with pytest.raises(InvalidProcessor, match="a counter's name must be letters, digits and underscores"):
        TypeCounter(name)


@pytest.mark.parametrize("name", ["job_processing_total", "jobqueue_jobs", "job_processing_duration_seconds"])
def test_a_counter_with_the_name_of_one_of_ours_is_refused(name: str) -> None:
    with pytest.raises(InvalidProcessor, match="must not start with job_processing_ or jobqueue_"):
        TypeCounter(name)


@pytest.mark.parametrize("arguments", [{"payload_key": 5}, {"value": None}])
def test_a_counter_whose_type_is_no_text_is_refused(arguments: Any) -> None:
    with pytest.raises(InvalidProcessor, match="of counter 'runs_total' must be text"):
        TypeCounter("runs_total", **arguments)


@pytest.mark.parametrize("known", ["initial", None, 5, ("initial", 5), ("a\ud800",), {"initial": 1}])
def test_a_counter_whose_known_types_are_no_texts_is_refused(known: Any) -> None:
    with pytest.raises(InvalidProcessor, match="what counter 'runs_total' has as known must be a tuple"):
        TypeCounter("runs_total", payload_key="kind", known=known)


@pytest.mark.parametrize("value", ["\ud800", "a\nb", "\x00"])
def test_a_counter_whose_value_could_not_be_written_is_refused(value: str) -> None:
    with pytest.raises(InvalidProcessor, match="the value of counter 'runs_total' must be printable text"):
        TypeCounter("runs_total", value=value)


# Reconcilers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [*GENERATORS.values(), coroutine, in_passing(coroutine), Shop, None, lambda: {}, lambda one: {}],
)
def test_a_reconciler_that_could_not_run_is_refused(function: Any) -> None:
    with pytest.raises(InvalidReconciler, match="reconciler 'sample': the function"):
        reconciler("sample")(function)


@pytest.mark.parametrize("name", [succeed, 5, None, ""])
def test_a_reconciler_without_a_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidReconciler, match="called with a name|the name of a reconciler must be text"):
        reconciler(name)


def test_two_counters_that_would_be_shown_under_one_name_are_refused() -> None:
    _register(succeed, counter=TypeCounter("shipped_total"))

    with pytest.raises(InvalidProcessor, match="would be shown as shipped_total, as 'shipped_total' of"):
        processor("sample.other_counter", queue="email", counter=TypeCounter("shipped"))(succeed)


def test_two_processors_may_share_a_counter() -> None:
    _register(succeed, counter=TypeCounter("shipped_total", value="one"))
    try:
        processor("sample.sharing", queue="email", counter=TypeCounter("shipped_total", value="two"))(succeed)
    finally:
        registry.unregister("sample.sharing")
