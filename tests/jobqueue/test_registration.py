"""Processors are registered by functions that run, under names that can be kept."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from jobqueue import callables, registry
from jobqueue.exceptions import DuplicateProcessor, InvalidProcessor, JobQueueError
from jobqueue.jobs import RetryPolicy, enqueue, processor
from jobqueue.models import Job
from jobqueue.registry import get_processor
from tests.jobqueue.processors_for_tests import succeed
from tests.jobqueue.registered import GENERATORS, Shop, coroutine, in_passing, register


class AsynchronousShop:
    """A callable whose call is a coroutine."""

    async def __call__(self, number: int) -> None:
        """Ships one."""


class EqualShop:
    """A callable that has no hash, as it is equal to others."""

    def __call__(self) -> None:
        """Ships all."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class NoShop:
    """Cannot be called."""


# Functions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generator_is_refused_for_its_body_would_not_run(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match=r"'sample\.trial': the function .* is a generator"):
        register(function)


@pytest.mark.parametrize("function", [None, 5, "shop.tasks.ship", ["ship"], NoShop(), classmethod(succeed)])
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match="which cannot be called; pass a function"):
        register(function)


def test_an_instance_that_cannot_be_told_from_others_is_refused() -> None:
    with pytest.raises(InvalidProcessor, match="has no hash"):
        register(EqualShop())


@pytest.mark.parametrize("function", [Shop, int, dict, RetryPolicy])
def test_a_class_is_refused(function: Any) -> None:
    with pytest.raises(InvalidProcessor, match="the function is the class"):
        register(function)


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
    register(function)

    assert get_processor("sample.trial").function is function
    assert enqueue("sample.trial", number=1).payload == {"number": 1}


def test_a_function_that_does_not_tell_its_parameters_is_refused() -> None:
    with pytest.raises(InvalidProcessor, match="does not tell its parameters"):
        register(max)


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
    register(one)
    with pytest.raises(DuplicateProcessor, match="registered twice"):
        register(other or (lambda: None))


# Parameters -----------------------------------------------------------------------------------------


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
        register(function)
    with pytest.raises(InvalidProcessor, match=f"has a parameter '{name}'"):
        register(in_passing(function))


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
        register(function)


# The decorator itself -------------------------------------------------------------------------------


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
