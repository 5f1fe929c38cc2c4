"""System checks of the rules: one that could not fire, or whose job could not be enqueued, is named."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections, models, router

from jobqueue import jobs, rules
from jobqueue.callables import dotted, is_coroutine_function, is_generator_function
from jobqueue.exceptions import InvalidJob, InvalidPayload, UnknownProcessor
from jobqueue.models import AtomicSaveMixin
from jobqueue.payloads import check_payload
from jobqueue.registry import get_processor
from jobqueue.rules import EnqueueRule
from jobqueue.sql.databases import holds_jobs
from jobqueue.values import shown
from jobqueue.watching import Rule, Watcher, trouble_with_field


@register("jobqueue")
def check_rules(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every rule of `on_save`, `enqueue_on_save` and `before_save` can fire, and enqueue what it is to."""
    heirs = [message for model in rules.abstract_models() for message in _check_heirs(model)]
    return [*heirs, *(message for watcher in rules.watchers() for message in _check(watcher))]


def _check(watcher: Watcher) -> Iterator[CheckMessage]:
    yield from _check_model(watcher.model)
    if any(isinstance(rule, EnqueueRule) for rule, _names in watcher.rules):
        yield from _check_database(watcher.model)
    for rule, names in watcher.rules:
        owner = _owner(watcher.model, rule)
        for name in sorted(names, key=str):
            yield from _error(owner, trouble_with_field(watcher.model, name), "E030")
        if isinstance(rule, EnqueueRule):
            yield from _check_enqueuing(owner, rule)
            yield from _error(owner, _trouble_with_name(watcher, rule), "E035")
        else:
            yield from _error(owner, _trouble_with_call(rule, "the rule", ("instance", "change")), "E033")
    for prepare, columns, computed in watcher.preparations:
        owner = f"what is done before a save of {watcher.model._meta.label}"
        for name in columns:
            yield from _error(owner, trouble_with_field(watcher.model, name), "E030")
        given = ("instance", "stored", "using")
        yield from _error(owner, _trouble_with_call(prepare, dotted(prepare), given), "E033")
        yield from _error(owner, _trouble_with_call(computed, "computed", ("instance",)), "E033")


def _owner(model: type[models.Model], rule: Rule) -> str:
    what = f"enqueues {shown(rule.processor)}" if isinstance(rule, EnqueueRule) else f"calls {dotted(rule)}"
    return f"the rule for {model._meta.label} that {what}"


def _error(owner: str, trouble: str, number: str, hint: str | None = None) -> Iterator[CheckMessage]:
    if trouble:
        yield Error(f"{owner}: {trouble}", hint=hint, id=f"jobqueue.{number}")


def _check_model(model: type[models.Model]) -> Iterator[CheckMessage]:
    if model._meta.swapped:
        yield from _error(
            f"{model._meta.label} has rules",
            f"{model._meta.swapped} stands in its place ({model._meta.swappable}), so they never fire",
            "E036",
            "Make the rules for that model.",
        )
        return
    if not issubclass(model, AtomicSaveMixin):
        yield from _error(
            f"{model._meta.label} has rules",
            "a save of it is not one transaction with its jobs, so that a crash between the two loses them",
            "E032",
            "Have the model inherit from jobqueue.models.AtomicSaveMixin. Where it cannot, and each of its "
            "saves is in a transaction of your own (ATOMIC_REQUESTS, say), add jobqueue.E032 to "
            "SILENCED_SYSTEM_CHECKS.",
        )


def _check_database(model: type[models.Model]) -> Iterator[CheckMessage]:
    using = _written_to(model)
    if using and not holds_jobs(using):
        yield from _error(
            f"{model._meta.label} has rules that enqueue",
            f"it is written to the database {using!r}, where no jobs are kept, so that each save fails",
            "E037",
            f"Let allow_migrate answer True for jobqueue there; then: manage.py migrate --database {using}",
        )


def _written_to(model: type[models.Model]) -> str:
    """Where the routers have it written; empty if they do not tell without a row."""
    try:
        return router.db_for_write(model)
    except Exception:  # of a router that answers only within a request, say
        return ""


def _check_heirs(model: type[models.Model]) -> Iterator[CheckMessage]:
    if not _has_rows(model):
        yield from _error(
            f"{model._meta.label} has rules",
            "it is abstract and no model inherits from it, so they never fire",
            "E036",
            "Have a model inherit from it, or make the rules for a model that is saved.",
        )


def _has_rows(model: type[models.Model]) -> bool:
    return any(not heir._meta.abstract or _has_rows(heir) for heir in model.__subclasses__())


def _check_enqueuing(owner: str, rule: EnqueueRule) -> Iterator[CheckMessage]:
    yield from _error(owner, _trouble_with_call(rule.when, "when", ("instance", "change")), "E033")
    trouble = _trouble_with_call(rule.payload, "payload", ("instance",))
    yield from _error(owner, trouble, "E033")
    yield from _error(owner, _trouble_with_delay(rule.delay), "E035")
    try:
        get_processor(rule.processor)
    except UnknownProcessor as error:
        hint = "A processor is registered by @processor in a processors.py of an installed app."
        yield from _error(owner, str(error), "E031", hint)
        return
    if not trouble:
        yield from _check_payload(owner, rule)


def _trouble_with_delay(delay: Any) -> str:
    try:
        if delay is not None:
            jobs.check_standing_delay(delay)
    except InvalidJob as error:
        return str(error)
    return ""


def _trouble_with_name(watcher: Watcher, rule: EnqueueRule) -> str:
    """Why its jobs could not be told from those of another rule, which would swallow them; empty if not."""
    name: object = rule.name
    if not isinstance(name, str):
        return f"the name must be text, not {shown(name)}"
    if name.isdecimal():
        return f"the name must be no number, as {name!r} is: rules without a name have theirs"
    others = [other for other, _ in watcher.rules if isinstance(other, EnqueueRule) and other is not rule]
    if name and any((other.processor, other.name) == (rule.processor, name) for other in others):
        return f"another rule for this processor has the name {name!r}; of the two only one job would be made"
    return ""


def _trouble_with_call(function: Any, what: str, given: tuple[str, ...]) -> str:
    """Why it cannot be called with these arguments by position, or would not run; empty if it can."""
    takes = f"it is called with ({', '.join(given)})"
    if not callable(function):
        return f"{what} is {shown(function)}, which cannot be called; {takes}"
    if is_coroutine_function(function) or is_generator_function(function):
        return f"{what} is a coroutine or a generator, whose body a call does not run; pass a plain function"
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        return f"{what} {error}; {takes}"
    except ValueError:
        return ""
    return ""


# Payloads -----------------------------------------------------------------------------------------


def _check_payload(owner: str, rule: EnqueueRule) -> Iterator[CheckMessage]:
    """What the payload of a row without values is: it names what it will name."""
    payload = _payload_of_a_blank_row(rule)
    if isinstance(payload, _Trouble):
        yield from _error(owner, str(payload), "E034")
        return
    if payload is None:
        return
    trouble = rules.trouble_with_names(payload)
    if trouble:
        yield from _error(owner, f"its payload {trouble}", "E034")
        return
    taken, required = _parameters(get_processor(rule.processor).function)
    unknown = [name for name in payload if taken is not None and name not in taken]
    missing = [name for name in required if name not in payload]
    if unknown:
        trouble = f"its payload has {', '.join(map(repr, unknown))}, which the processor does not take"
        yield from _error(owner, f"{trouble}; it takes: {', '.join(taken or ()) or 'nothing'}", "E034")
    elif missing:
        yield Warning(
            f"{owner}: its payload of a row without values lacks {', '.join(map(repr, missing))}",
            hint="A save whose payload lacks what the processor takes is refused.",
            id="jobqueue.W034",
        )


class _Trouble(str):
    __slots__ = ()


def _payload_of_a_blank_row(rule: EnqueueRule) -> dict[str, Any] | _Trouble | None:
    """The payload, or what is wrong with it; None where a row without values tells nothing."""
    try:
        with _without_queries():
            instance = rule.model()
            payload: Any = rule.payload(instance)
    except AttributeError as error:
        name = error.name
        if error.obj.__class__ is rule.model and name and not hasattr(rule.model, name):
            return _Trouble(f"its payload reads {name!r}, which {rule.model.__name__} does not have")
        return None
    except Exception:  # of a payload that needs values: the first save will tell
        return None
    if not isinstance(payload, dict):
        return _Trouble(f"its payload must be a dict, not {shown(payload)}")
    try:
        return check_payload(payload)
    except InvalidPayload as error:
        return _Trouble(str(error))


def _parameters(function: Callable[..., Any]) -> tuple[list[str] | None, list[str]]:
    """The names that it takes, None if it takes any, and those without a default."""
    parameters = inspect.signature(function).parameters.values()
    named = [each for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    required = [each.name for each in named if each.default is each.empty]
    return None if takes_any else [each.name for each in named], required


@contextmanager
def _without_queries() -> Iterator[None]:
    """A check asks no database."""
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(_refuse))
        yield


def _refuse(*_: Any) -> Any:
    raise RuntimeError("no query here")
