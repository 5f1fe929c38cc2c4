"""What a save changes in a row: read once, before and after the write, for all rules of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models

from jobqueue.exceptions import InvalidRule
from jobqueue.values import shown


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
Computed = Callable[[Any], Mapping[str, Any]]


def trouble_with_field(model: type[models.Model], name: object) -> str:
    """Why no rule can watch this field of the model, with what to do instead; empty if it can."""
    if not isinstance(name, str):
        return f"{shown(name)} is no name of a field"
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist:
        return _trouble_with_no_field(model, name)
    if getattr(found, "many_to_many", False) and isinstance(found, models.Field):
        return (
            f"{name!r} is a many-to-many field, whose rows are not written by save(): "
            f"listen to the signal m2m_changed of {model.__name__}.{name}.through, and enqueue there"
        )
    if found.auto_created and not found.concrete:
        return f"{name!r} is the other side of a relation: make the rule for {_other_side(found)}"
    if not isinstance(found, models.Field) or found.column is None:
        columns = ", ".join(repr(each) for each in _columns_of(found)) or "the columns that it is made of"
        return f"{name!r} is not stored in a column of {model.__name__}: watch {columns}"
    return ""


def _trouble_with_no_field(model: type[models.Model], name: str) -> str:
    if hasattr(model, name):
        return f"{name!r} is an attribute of {model.__name__}, no field of it: watch the fields that it reads"
    names = ", ".join(sorted(each.name for each in model._meta.concrete_fields))
    return f"{model.__name__} has no field {name!r}; it has: {names}"


def _other_side(relation: Any) -> str:
    return str(getattr(relation.related_model, "__name__", relation.related_model))


def _columns_of(found: Any) -> list[str]:
    """The columns behind a generic foreign key, or a key of several columns."""
    generic = [getattr(found, "ct_field", None), getattr(found, "fk_field", None)]
    return [name for name in [*generic, *getattr(found, "field_names", [])] if isinstance(name, str)]


class Watcher:
    """Compares the row before and after a save, once for all rules of a model."""

    def __init__(self, model: type[models.Model]) -> None:
        self.model = model
        self.rules: list[tuple[Rule, frozenset[str]]] = []
        self.preparations: list[tuple[Preparation, Sequence[str], Computed]] = []
        self.refused: list[str] = []
        """What the rules watch that cannot be watched."""
        self._fields: dict[str, models.Field[Any, Any]] = {}
        self._columns: list[str] = []
        # With the instance, by the model: a child's save is its parent's too.
        self._memory = f"_jobqueue_before_save:{model._meta.label_lower}"

    def add(self, rule: Rule, names: frozenset[str]) -> None:
        """Call the rule when one of these fields changes; a rule added twice counts once."""
        if (rule, names) in self.rules:
            return
        self.rules.append((rule, names))
        for name in names:
            trouble = trouble_with_field(self.model, name)
            if trouble:
                self.refused.append(trouble)
            else:
                found = self.model._meta.get_field(name)
                assert isinstance(found, models.Field)
                self._fields[name] = found

    def prepare_with(self, prepare: Preparation, columns: Sequence[str], computed: Computed) -> None:
        """Prepare each row with the stored values of these columns; what is added twice counts once."""
        if all(prepare != known for known, *_ in self.preparations):
            self.preparations.append((prepare, columns, computed))
            self._columns.extend(columns)

    def before(self, sender: Any, instance: models.Model, raw: bool, using: str, **_: Any) -> None:
        """Remember the stored values, and prepare the row."""
        if raw:
            return
        if self.refused:
            raise InvalidRule(f"a rule for {self.model._meta.label} cannot fire: {self.refused[0]}")
        stored = self._before(instance, using) if self._may_be_stored(instance) else None
        for prepare, *_rest in self.preparations:
            prepare(instance, stored, using)
        # In a pile: a receiver may save it again inside this save.
        instance.__dict__.setdefault(self._memory, []).append(stored)

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
        memory = instance.__dict__.get(self._memory)
        old = memory.pop() if memory else None
        # What a save adds to a row that was there, a child to its parent, does not create the row.
        created = created and old is None
        changed = self._changed(instance, old, using, update_fields)
        for rule, names in self.rules:
            change = Change(created, using, {name: pair for name, pair in changed.items() if name in names})
            if created or change.fields:
                rule(instance, change)

    def _may_be_stored(self, instance: models.Model) -> bool:
        field_ = self.model._meta.pk
        key: Any = instance._get_pk_val(self.model._meta)
        if key is None or (isinstance(key, tuple) and None in key):
            return False
        # A new instance's key that was just made by the field's default is no row's.
        return not (instance._state.adding and field_ is not None and field_.has_default())

    def _before(self, instance: models.Model, using: str) -> dict[str, Any] | None:
        """What the row holds before the save, locked to its end."""
        rows = self._row(instance, using)
        if connections[using].in_atomic_block:
            # No key, here and wherever a row is locked for a save: another row that is written at the same
            # time may refer to it, which PostgreSQL checks at the commit, when that row's jobs are locked.
            rows = rows.select_for_update(no_key=True)
        computed = {
            name: value
            for _prepare, _names, compute in self.preparations
            for name, value in compute(instance).items()
        }
        columns = dict.fromkeys([*self._watched(), *self._columns])
        return rows.values(*columns, **computed).first()

    def _stored(self, instance: models.Model, using: str) -> dict[str, Any] | None:
        """What the row holds of the fields of the rules."""
        return self._row(instance, using).values(*self._watched()).first()

    def _row(self, instance: models.Model, using: str) -> models.QuerySet[Any]:
        return self.model._base_manager.using(using).filter(pk=instance._get_pk_val(self.model._meta))

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
                _plain(field_, (old or {}).get(field_.attname)),
                _plain(field_, new[field_.attname]),
            )
            for name, field_ in self._fields.items()
        }
        return {name: (before, after) for name, (before, after) in pairs.items() if before != after}


def _plain(field_: models.Field[Any, Any], value: Any) -> Any:
    """The value as the database gives it back, so that equal ones compare equal."""
    if isinstance(field_, models.ForeignKey):
        field_ = field_.target_field
    return field_.to_python(getattr(value, "amount", value))


def _is_stored_differently(field_: models.Field[Any, Any], value: Any) -> bool:
    """Whether the database may make another value of it: of an expression, a third of an amount, a tuple."""
    number = getattr(value, "amount", value)
    if isinstance(field_, models.DecimalField) and isinstance(number, Decimal) and number.is_finite():
        return number != round(number, field_.decimal_places or 0)
    if isinstance(field_, models.JSONField):
        return field_.decoder is not None or not _does_json_give_back(value)
    return isinstance(value, _CONTAINERS) or field_.generated or hasattr(value, "resolve_expression")


# What fields for arrays and the like write as they see fit.
_CONTAINERS = (list, tuple, set, frozenset, dict)
_JSON_KINDS = (str, int, bool, type(None))
_EXACT_FLOATS = 2.0**53
"""From here on PostgreSQL may give back an integer that is not the same number."""


def _does_json_give_back(value: Any) -> bool:
    """Whether this comes back as it is: tuples become lists; keys, enums and translations become texts."""
    kind = type(value)
    if kind is list:
        return all(map(_does_json_give_back, value))
    if kind is dict:
        return all(type(name) is str and _does_json_give_back(each) for name, each in value.items())
    return kind in _JSON_KINDS or (kind is float and abs(value) < _EXACT_FLOATS)
