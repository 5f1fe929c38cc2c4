"""Saves that become jobs: rules that look at what a save really changed in the database."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.signals import class_prepared, post_save, pre_save

from jobqueue import jobs
from jobqueue.callables import OPTIONS
from jobqueue.exceptions import InvalidPayload, InvalidRule
from jobqueue.models import subject_of
from jobqueue.models.subjects import key_text
from jobqueue.sql import rows
from jobqueue.values import shown
from jobqueue.watching import Change, Computed, Preparation, Rule, Watcher

__all__ = ["Change", "before_save", "enqueue_on_save", "on_save"]

_LONGEST_KEY = 200
_OPTIONS = frozenset(OPTIONS)


def on_save(model: type[models.Model], rule: Rule, *, fields: Sequence[str]) -> None:
    """Call `rule(instance, change)` in the transaction of a save that creates a row or changes `fields`.

    It is called for every save of a row of the model: also through a proxy, as a child of the model
    (multi-table inheritance), and of all models that inherit from it, if it is abstract. A rule for a child
    or a proxy hears of saves through that class only. `loaddata` (raw saves), saves without a change and
    what writes without `save()` (`bulk_create`, `update`) call nothing.

    The old values are read, and locked, in the database just before the write, so a stale instance or a
    concurrent save counts as what it does to the row. The model's `save` must be atomic: `AtomicSaveMixin`.
    What cannot be watched (many-to-many fields, properties, names that no field has) is an error of
    `manage.py check`, and raises InvalidRule in a save.
    """
    _add(model, rule, _names(model, fields))


def before_save(
    model: type[models.Model],
    prepare: Preparation,
    *,
    columns: Sequence[str],
    computed: Computed = lambda instance: {},
) -> None:
    """Call `prepare(instance, stored, using)` before a row is written, which may change the instance.

    `stored` holds these columns of the row as it is, and what `computed(instance)` names: expressions by
    name. It is None for a new row. It is read together with what the rules of `on_save` compare, in one
    statement, and locked as they say. `loaddata` (raw saves) calls nothing.
    """
    for concrete in _concrete_models(model):
        _watcher_of(concrete).prepare_with(prepare, columns, computed)


def enqueue_on_save(
    model: type[models.Model],
    processor: str,
    *,
    fields: Sequence[str],
    when: Callable[[Any, Change], bool] = lambda instance, change: True,
    payload: Callable[[Any], dict[str, Any]] = lambda instance: {"pk": key_text(instance)},
    delay: timedelta | float | None = None,
    name: str = "",
) -> None:
    """Enqueue one job for `processor` when a save creates a row, or changes `fields`, and `when` agrees.

    The job's subject is the row; its unique key is the rule and the row, so saves in quick succession make
    one job of each rule while it waits. Of several rules for one processor and model the first has the key
    `<processor>:<model>:<pk>`, each further one that with its number; a `name`, of your own, stands in the
    place of the number and stays the same where rules are added or change their order. For which saves:
    see `on_save`. What makes a rule impossible is an error of `manage.py check`.
    """
    _add(model, EnqueueRule(model, processor, when, payload, delay, name), _names(model, fields))


@dataclass(frozen=True, slots=True, eq=False)
class EnqueueRule:
    """A rule that enqueues a job about the row."""

    model: type[models.Model]
    processor: str
    when: Callable[[Any, Change], bool]
    payload: Callable[[Any], dict[str, Any]]
    delay: timedelta | float | None
    name: str = ""
    number: int = 1
    """Its place among the rules of one processor and model, from 1."""

    def __call__(self, instance: models.Model, change: Change) -> None:
        if not self.when(instance, change):
            return
        payload, subject = self.payload(instance), _as_row_of(self.model, instance)
        if not _OPTIONS.isdisjoint(payload):
            raise InvalidPayload(f"the payload of a rule for {self.processor} {trouble_with_names(payload)}")
        jobs.enqueue(
            self.processor,
            delay=self.delay,
            subject=subject,
            unique_key=self._key(subject),
            using=change.using,
            **payload,
        )

    def _key(self, subject: models.Model) -> str:
        which = self.name or (str(self.number) if self.number > 1 else "")
        key = f"{self.processor}:{subject_of(subject)}{which and f':{which}'}"
        if len(key) <= _LONGEST_KEY and key.isprintable():
            return key
        # Whatever the primary key is made of, the user's save must not fail for a key that we derive.
        digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()
        return f"{self.processor}:{digest}"

    def same_as(self, other: object) -> bool:
        """Whether it is this rule once more: the module that makes it may be imported twice."""
        if not isinstance(other, EnqueueRule):
            return False
        mine, theirs = (
            (rule.processor, rule.delay, rule.name, _code_of(rule.when), _code_of(rule.payload))
            for rule in (self, other)
        )
        return bool(mine == theirs)


def trouble_with_names(payload: Mapping[str, Any]) -> str:
    """Which of its names `enqueue` would take for itself, so that no processor gets them; empty if none."""
    taken = [name for name in payload if name in _OPTIONS]
    return f"has {', '.join(map(repr, taken))}, which enqueue() takes for itself" if taken else ""


def _code_of(function: Any) -> Any:
    """What two functions made by one piece of code, with the same values around it, have in common."""
    if not inspect.isfunction(function):
        return function
    try:
        around = tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:
        return function
    return function.__module__, function.__code__, function.__defaults__, function.__kwdefaults__, around


def _as_row_of(model: type[models.Model], instance: models.Model) -> models.Model:
    """The instance, or what stands for its row in `model`, if it was saved through a proxy or a child."""
    if type(instance) is model:
        return instance
    # A primary key of several fields has several.
    key = [field.attname for field in model._meta.pk_fields]
    return rows.unsaved(model, {}, **{name: getattr(instance, name) for name in key})


# Who is watched -----------------------------------------------------------------------------------

_watchers: dict[type[models.Model], Watcher] = {}
"""By model. An abstract one's are connected to nothing: they are for the models that inherit from it."""


def watchers() -> Iterator[Watcher]:
    """Those of the models that have rows."""
    return iter([watcher for watcher in _watchers.values() if not watcher.model._meta.abstract])


def abstract_models() -> list[type[models.Model]]:
    """The abstract models that rules were made for."""
    return [watcher.model for watcher in _watchers.values() if watcher.model._meta.abstract]


def _names(model: Any, fields: Any) -> frozenset[str]:
    if not inspect.isclass(model) or not issubclass(model, models.Model):
        raise InvalidRule(f"a rule is for a model, which {shown(model)} is not; pass its class")
    if isinstance(fields, str):
        raise InvalidRule(
            f"the fields of a rule for {model._meta.label} must be a list of names, not the text "
            f"{fields!r}; write [{fields!r}]"
        )
    try:
        return frozenset(fields)
    except TypeError:
        raise InvalidRule(
            f"the fields of a rule for {model._meta.label} must be a list of names, not {shown(fields)}"
        ) from None


def _add(model: type[models.Model], rule: Rule, names: frozenset[str]) -> None:
    for concrete in _concrete_models(model):
        _add_to(_watcher_of(concrete), rule, names)


def _add_to(watcher: Watcher, rule: Rule, names: frozenset[str]) -> None:
    if isinstance(rule, EnqueueRule):
        others = [known for known, _ in watcher.rules if isinstance(known, EnqueueRule)]
        if any(rule.same_as(known) and (known, names) in watcher.rules for known in others):
            return
        number = 1 + sum(known.processor == rule.processor for known in others)
        rule = replace(rule, model=watcher.model, number=number)
    watcher.add(rule, names)


def _concrete_models(model: type[models.Model]) -> list[type[models.Model]]:
    """The model; of an abstract one, which stays for models to come, also those with rows below it."""
    if not model._meta.abstract:
        return [model]
    heirs = [heir for heir in _heirs(model) if not heir._meta.proxy and _is_first_with_rows(heir, model)]
    return [model, *heirs]


def _is_first_with_rows(heir: type[models.Model], abstract: type[models.Model]) -> bool:
    """Whether no parent with rows of its own inherits from it too, whose rule hears of the heir's saves."""
    return not any(issubclass(parent, abstract) for parent in heir._meta.all_parents)


def _heirs(model: type[models.Model]) -> Iterator[type[models.Model]]:
    """The models below it that have rows, proxies included; not the pretended ones of migrations."""
    for heir in model.__subclasses__():
        if not heir._meta.abstract and heir._meta.apps is model._meta.apps:
            yield heir
        yield from _heirs(heir)


def _watcher_of(model: type[models.Model]) -> Watcher:
    watcher = _watchers.get(model)
    if watcher is None:
        watcher = _watchers[model] = Watcher(model)
        if not model._meta.abstract:
            for sender in dict.fromkeys([model, *_heirs(model)]):
                _connect(watcher, sender)
    return watcher


def _connect(watcher: Watcher, sender: type[models.Model]) -> None:
    identity = f"jobqueue.on_save:{watcher.model._meta.label_lower}"
    pre_save.connect(watcher.before, sender=sender, weak=False, dispatch_uid=f"{identity}:before")
    post_save.connect(watcher.after, sender=sender, weak=False, dispatch_uid=f"{identity}:after")


def _take_in(sender: type[models.Model], **_: Any) -> None:
    """A model that is defined later hears of the rules for those that it inherits from."""
    for base, watcher in list(_watchers.items()):
        if sender is base or not issubclass(sender, base) or sender._meta.apps is not base._meta.apps:
            continue
        if not base._meta.abstract:
            _connect(watcher, sender)
        elif not sender._meta.proxy and _is_first_with_rows(sender, base):
            _hand_down(watcher, sender)


def _hand_down(watcher: Watcher, heir: type[models.Model]) -> None:
    for prepare, columns, computed in watcher.preparations:
        _watcher_of(heir).prepare_with(prepare, columns, computed)
    for rule, names in watcher.rules:
        _add_to(_watcher_of(heir), rule, names)


class_prepared.connect(_take_in, dispatch_uid="jobqueue.rules")
