"""Saves that become jobs: rules that look at what a save really changed in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connections, models
from django.db.models.signals import post_save, pre_save

from jobqueue import jobs

__all__ = ["Change", "before_save", "enqueue_on_save", "on_save"]


@dataclass(frozen=True, slots=True)
class Change:
    """What one save changed in one row: the tracked fields whose stored values differ, as (old, new)."""

    created: bool
    using: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def became(self, name: str, *values: Any) -> bool:
        """Whether this save gave the field one of these values, which it did not have before."""
        return name in self.fields and self.fields[name][1] in values

    def old(self, name: str) -> Any:
        """The value before the save; None if the field did not change or the row is new."""
        return self.fields[name][0] if name in self.fields else None


Rule = Callable[[Any, Change], None]
Preparation = Callable[[Any, dict[str, Any] | None, str], None]
_MEMORY = "_jobqueue_before_save"


def on_save(model: type[models.Model], rule: Rule, *, fields: Sequence[str]) -> None:
    """Call `rule(instance, change)` in the transaction of a save that creates a row or changes `fields`.

    `loaddata` (raw saves) and saves without a change call nothing. The old values are read, and
    locked, in the database just before the write, so a stale instance or a concurrent save
    counts as what it does to the row. The model's `save` must be atomic: `AtomicSaveMixin`.
    """
    _watcher_of(model).add(rule, fields)


def before_save(
    model: type[models.Model],
    prepare: Preparation,
    *,
    columns: Sequence[str],
    computed: Callable[[Any], Mapping[str, Any]] = lambda instance: {},
) -> None:
    """Call `prepare(instance, stored, using)` before a row is written, which may change the instance.

    `stored` holds these columns of the row as it is, and what `computed(instance)` names: expressions by
    name. It is None for a new row. It is read together with what the rules of `on_save` compare, in one
    statement, and locked as they say. `loaddata` (raw saves) calls nothing.
    """
    _watcher_of(model).prepare_with(prepare, columns, computed)


def _watcher_of(model: type[models.Model]) -> _Watcher:
    watcher = _watchers.get(model)
    if watcher is None:
        watcher = _watchers[model] = _Watcher(model)
        identity = f"jobqueue.on_save:{model._meta.label_lower}"
        pre_save.connect(watcher.before, sender=model, weak=False, dispatch_uid=f"{identity}:before")
        post_save.connect(watcher.after, sender=model, weak=False, dispatch_uid=f"{identity}:after")
    return watcher


def enqueue_on_save(
    model: type[models.Model],
    processor: str,
    *,
    fields: Sequence[str],
    when: Callable[[Any, Change], bool] = lambda instance, change: True,
    payload: Callable[[Any], dict[str, Any]] = lambda instance: {"pk": str(instance.pk)},
    delay: timedelta | float | None = None,
) -> None:
    """Enqueue one job for `processor` when a save creates a row, or changes `fields`, and `when` agrees.

    The job's subject is the row; its unique key is the processor and the row, so saves in quick
    succession make one job while it waits.
    """

    def rule(instance: models.Model, change: Change) -> None:
        if when(instance, change):
            jobs.enqueue(
                processor,
                delay=delay,
                subject=instance,
                unique_key=f"{processor}:{instance._meta.label_lower}:{instance.pk}",
                using=change.using,
                **payload(instance),
            )

    on_save(model, rule, fields=fields)


class _Watcher:
    """Compares the row before and after a save, once for all rules of a model."""

    def __init__(self, model: type[models.Model]) -> None:
        self.model = model
        self._rules: list[tuple[Rule, frozenset[str]]] = []
        self._fields: dict[str, models.Field[Any, Any]] = {}
        self._preparations: list[Preparation] = []
        self._columns: list[str] = []
        self._computed: list[Callable[[Any], Mapping[str, Any]]] = []

    def add(self, rule: Rule, fields: Sequence[str]) -> None:
        """Call the rule when one of these fields changes; a rule added twice counts once."""
        names = frozenset(fields)
        if (rule, names) not in self._rules:
            self._rules.append((rule, names))
        for name in fields:
            field_ = self.model._meta.get_field(name)
            assert isinstance(field_, models.Field), (
                f"{name} is not stored in a column of {self.model.__name__}"
            )
            self._fields[name] = field_

    def prepare_with(
        self, prepare: Preparation, columns: Sequence[str], computed: Callable[[Any], Mapping[str, Any]]
    ) -> None:
        """Prepare each row with the stored values of these columns; what is added twice counts once."""
        if prepare not in self._preparations:
            self._preparations.append(prepare)
            self._columns.extend(columns)
            self._computed.append(computed)

    def before(self, sender: Any, instance: models.Model, raw: bool, using: str, **_: Any) -> None:
        """Remember the stored values, and prepare the row."""
        if not raw:
            is_known = instance.pk is not None and not (instance._state.adding and _has_own_key(instance))
            stored = self._before(instance, using) if is_known else None
            for prepare in self._preparations:
                prepare(instance, stored, using)
            # With the instance, and in a pile: a receiver may save it again inside this save.
            instance.__dict__.setdefault(_MEMORY, []).append(stored)

    def after(
        self,
        sender: Any,
        instance: models.Model,
        created: bool,
        raw: bool,
        using: str,
        update_fields: frozenset[str] | None,
        **_: Any,
    ) -> None:
        """Call the rules whose fields were changed."""
        if raw:
            return
        memory = instance.__dict__.get(_MEMORY)
        old = memory.pop() if memory else None
        changed = self._changed(instance, old, using, update_fields)
        for rule, names in self._rules:
            change = Change(created, using, {name: pair for name, pair in changed.items() if name in names})
            if created or change.fields:
                rule(instance, change)

    def _before(self, instance: models.Model, using: str) -> dict[str, Any] | None:
        """What the row holds before the save, locked to its end."""
        rows = self._row(instance, using)
        if connections[using].in_atomic_block:
            # No key, here and wherever a row is locked for a save: another row that is written at the same
            # time may refer to it, which PostgreSQL checks at the commit, when that row's jobs are locked.
            rows = rows.select_for_update(no_key=True)
        computed = {name: value for compute in self._computed for name, value in compute(instance).items()}
        columns = dict.fromkeys([*self._watched(), *self._columns])
        return rows.values(*columns, **computed).first()

    def _stored(self, instance: models.Model, using: str) -> dict[str, Any] | None:
        """What the row holds of the fields of the rules."""
        return self._row(instance, using).values(*self._watched()).first()

    def _row(self, instance: models.Model, using: str) -> models.QuerySet[Any]:
        return self.model._base_manager.using(using).filter(pk=instance.pk)

    def _watched(self) -> list[str]:
        return [field_.attname for field_ in self._fields.values()]

    def _changed(
        self,
        instance: models.Model,
        old: dict[str, Any] | None,
        using: str,
        update_fields: frozenset[str] | None,
    ) -> dict[str, tuple[Any, Any]]:
        # With `update_fields` the instance can hold what was not written, or lack what it never loaded.
        new = self._stored(instance, using) if update_fields is not None else None
        if new is None:
            new = {field_.attname: getattr(instance, field_.attname) for field_ in self._fields.values()}
            if any(_is_stored_differently(field_, new[field_.attname]) for field_ in self._fields.values()):
                new = self._stored(instance, using) or new
        pairs = {
            name: (
                self._plain(field_, (old or {}).get(field_.attname)),
                self._plain(field_, new[field_.attname]),
            )
            for name, field_ in self._fields.items()
        }
        return {name: (before, after) for name, (before, after) in pairs.items() if before != after}

    @staticmethod
    def _plain(field_: models.Field[Any, Any], value: Any) -> Any:
        """The value as the database gives it back, so that equal ones compare equal."""
        if isinstance(field_, models.ForeignKey):
            field_ = field_.target_field
        return field_.to_python(getattr(value, "amount", value))


def _is_stored_differently(field_: models.Field[Any, Any], value: Any) -> bool:
    """Whether the database makes another value of it: of an expression, or of a third of an amount."""
    number = getattr(value, "amount", value)
    if isinstance(field_, models.DecimalField) and isinstance(number, Decimal) and number.is_finite():
        return number != round(number, field_.decimal_places or 0)
    return hasattr(value, "resolve_expression")


def _has_own_key(instance: models.Model) -> bool:
    """Whether a new instance's key was just made by the field's default, so that no row can have it."""
    return instance._meta.pk is not None and instance._meta.pk.has_default()


_watchers: dict[type[models.Model], _Watcher] = {}
