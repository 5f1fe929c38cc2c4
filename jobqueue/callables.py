"""What can be a processor, looked at when it is registered: no job completes without a run of its body."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from jobqueue.values import shown

OPTIONS = ("processor", "run_at", "delay", "unique_key", "subject", "using")
"""What `enqueue` takes for itself: no payload brings a parameter of such a name to its processor."""
_GIVEN_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def trouble_with(function: object) -> str:
    """Why this cannot be a processor, as "is a class …"; empty if it can."""
    if inspect.isclass(function):
        return f"is the class {dotted(function)}; pass a function, or an instance with __call__"
    if not callable(function):
        return f"is {shown(function)}, which cannot be called; pass a function"
    for inner in _layers(function):
        if _makes_generator(inner):
            return (
                f"{dotted(inner)} is a generator: it has a yield, so that a call runs none of its body; "
                "do the work in a plain function or a coroutine"
            )
    if getattr(function, "__hash__", None) is None:
        return f"{shown(function)} has no hash; give its class a __hash__"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return f"{dotted(function)} does not tell its parameters; pass a function written in Python"
    return next(filter(None, map(_trouble_with_parameter, parameters)), "")


def _trouble_with_parameter(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return f"takes {parameter.name!r} by position only; a payload is given by keyword: remove the slash"
    if parameter.name in OPTIONS and parameter.kind in _GIVEN_BY_KEYWORD:
        return (
            f"has a parameter {parameter.name!r}, which enqueue() takes for itself, as {', '.join(OPTIONS)}; "
            "give it another name"
        )
    return ""


def _layers(function: Any) -> Iterator[Any]:
    """The function and what it wraps: partial objects, methods, decorators, instances with __call__."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = _inside(function)


def _inside(function: Any) -> Any:
    if isinstance(function, functools.partial):
        return function.func
    if inspect.ismethod(function):
        return function.__func__
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None or inspect.isroutine(function):
        return wrapped
    return type(function).__call__


def is_generator_function(function: object) -> bool:
    """Whether a call makes a generator, plain or asynchronous, which somebody has to go through."""
    return any(map(_makes_generator, _layers(function)))


def _makes_generator(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def is_coroutine_function(function: object) -> bool:
    """Whether a call makes a coroutine, which somebody has to await."""
    return any(inspect.iscoroutinefunction(inner) for inner in _layers(function))


def dotted(function: Any) -> str:
    """The name by which a person finds the function, and two functions are told apart."""
    if isinstance(function, functools.partial):
        given = [*map(shown, function.args), *(f"{k}={shown(v)}" for k, v in function.keywords.items())]
        return f"partial({', '.join([dotted(function.func), *given])})"
    named = function if hasattr(function, "__qualname__") else type(function)
    line = f":{function.__code__.co_firstlineno}" if named.__qualname__.endswith("<lambda>") else ""
    return f"{named.__module__}.{named.__qualname__}{line}"


@lru_cache(maxsize=4096)
def refusal(function: Callable[..., Any], names: tuple[str, ...]) -> str:
    """Why the function does not take keyword arguments of these names; empty if it does."""
    signature = inspect.signature(function)
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        return f"{error}. It takes {signature}."
    return ""
