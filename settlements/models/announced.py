"""Rows that remember what their jobs were told, and keep what no save may overwrite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from jobqueue.models import AtomicSaveMixin
from settlements.exceptions import InvalidStatus

# Django 5.2 takes it by position still.
_PLACE_OF_UPDATE_FIELDS = 3


class AnnouncedMixin(AtomicSaveMixin):
    """Remembers with the row what its jobs were told.

    `ANNOUNCED` names the fields and their markers. Rows changed without `save()` differ from their
    markers, and the reconciler finds them by that. `KEPT` names, by field, what the row itself keeps
    beside it: it is written with that field, and a stale instance never overwrites it.
    """

    ANNOUNCED: ClassVar[dict[str, str]] = {}
    KEPT: ClassVar[dict[str, tuple[str, ...]]] = {}
    WRITTEN_WITH: ClassVar[dict[str, tuple[str, ...]]] = {}
    """What `keep_true` may set where a save names a field, by that field."""
    TOGETHER: ClassVar[tuple[frozenset[str], ...]] = ()
    """Fields that mean nothing without each other: who saves one of them saves all."""
    AS_LOADED: ClassVar[frozenset[str]] = frozenset()
    """Columns that a whole save writes only if they were set since the row was loaded or saved: else what
    others wrote meanwhile stays."""
    READ_BEFORE_SAVE: ClassVar[tuple[str, ...]] = ()
    """Further columns that `before_save` compares with what the row holds."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row, its markers and its jobs in one transaction."""
        args, kwargs = _with_names_of_fields(args, kwargs)
        also = [name for names in self.WRITTEN_WITH.values() for name in names]
        for attribute in (*self.kept_columns(), *also):
            getattr(self, attribute)  # one that was deferred is loaded: Django leaves out what is not
        names = kwargs.get("update_fields")
        if names and self._are_fields(names):
            self._named = self._with_their_like({self._meta.get_field(name).name for name in names})
            written = self._named | self._written_with(self._named)
            kept = {kept for name in written for kept in self._kept_with(name)}
            kwargs["update_fields"] = {*written, "updated_at", *kept}
        try:
            super().save(*args, **kwargs)
            self._note_as_loaded(self._named)
        finally:
            self._named = None

    _named: Collection[str] | None = None

    @classmethod
    def _are_fields(cls, names: Collection[str]) -> bool:
        """Whether the model has them all; if not, Django says which it does not have."""
        known: frozenset[str] = cls._meta._non_pk_concrete_field_names  # type: ignore[attr-defined]
        return known.issuperset(names)

    @classmethod
    def _with_their_like(cls, names: Collection[str]) -> frozenset[str]:
        groups = [group for group in cls.TOGETHER if not group.isdisjoint(names)]
        return frozenset(names).union(*groups)

    @classmethod
    def _written_with(cls, names: Collection[str]) -> set[str]:
        return {more for name in names for more in cls.WRITTEN_WITH.get(name, ())}

    @classmethod
    def _kept_with(cls, name: str) -> tuple[str, ...]:
        column: Any = cls._meta.get_field(name)
        marker = cls.ANNOUNCED.get(column.attname)
        return (*cls.KEPT.get(name, ()), *([cls._meta.get_field(marker).name] if marker else []))

    @classmethod
    def kept_columns(cls) -> list[str]:
        """The attributes that rows keep by themselves, markers included."""
        fields: list[Any] = [cls._meta.get_field(name) for names in cls.KEPT.values() for name in names]
        return [*cls.ANNOUNCED.values(), *(field.attname for field in fields)]

    @classmethod
    def columns_before_save(cls) -> list[str]:
        """What is read of the row, under its lock, before it is written."""
        columns = [*cls.ANNOUNCED, *cls.kept_columns(), *cls.READ_BEFORE_SAVE, *sorted(cls.AS_LOADED)]
        return list(dict.fromkeys([*columns, "updated_at"]))

    def before_save(self, stored: Mapping[str, Any] | None) -> None:
        """Make the row right before it is written: `stored` is what it holds, None if it is new."""
        written = self._named
        self.announced_before = {name: stored[name] for name in self.ANNOUNCED.values()} if stored else {}
        if stored is not None:
            for attribute in self.kept_columns():
                self.__dict__[attribute] = stored[attribute]
            self._take_over_what_is_stale(stored, written)
        self._check_status()
        self.keep_true(stored, written)
        self.mark_as_announced(stored)
        self._note_as_saved(stored, written)

    def _check_status(self) -> None:
        field: Any = self._meta.get_field("status")
        status, known = self.__dict__.get("status"), [value for value, _label in field.choices]
        if isinstance(status, str) and status not in known:
            name = self._meta.verbose_name
            raise InvalidStatus(
                f"there is no status {status!r:.40} of a {name}; allowed are: {', '.join(known)}"
            )

    announced_before: Mapping[str, Any] = MappingProxyType({})
    """The markers before the latest save: what jobs were told, though the row may have said another thing."""

    def keep_true(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        """What a model does with its row before it is written.

        `written` are the names of the fields that the caller saves, None for all of them.
        """

    def mark_as_announced(self, stored: Mapping[str, Any] | None) -> None:
        """Mark what this save tells the jobs, `stored` being what the row holds; None if it is new.

        What the save leaves as it is keeps its marker: nobody may have been told of it yet.
        """
        for name, marker in self.ANNOUNCED.items():
            if stored is None or self._is_told(name, stored[name]):
                setattr(self, marker, self.__dict__[name])
            else:
                setattr(self, marker, stored[marker])

    def _is_told(self, name: str, stored: Any) -> bool:
        """Whether this save changes the field, so that the rules hear of it."""
        if name not in self.__dict__:
            return False
        field: Any = self._meta.get_field(name)
        value = self.__dict__[name]
        return hasattr(value, "resolve_expression") or bool(field.to_python(value) != stored)

    def changes(self, name: str, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> bool:
        """Whether this save writes another value into the column `name`."""
        field: Any = self._meta.get_field(name)
        if written is not None and field.name not in written:
            return False
        return stored is None or self._is_told(name, stored[name])

    # What a save leaves the row with ------------------------------------------------------------------

    _as_saved: Mapping[str, Any] = MappingProxyType({})

    def as_saved(self, column: str) -> Any:
        """What the row holds after this save: with `update_fields` the instance may hold another value."""
        return self._as_saved.get(column, getattr(self, column))

    def _note_as_saved(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        self._as_saved = {}
        if stored is None or written is None:
            return
        names = {*written, *self._written_with(written)}
        left = [column for column in self.AS_LOADED if self._meta.get_field(column).name not in names]
        self._as_saved = {column: stored[column] for column in left}

    # Instances that are older than their row -----------------------------------------------------------

    _as_loaded: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        """The row as an instance, which remembers what it was loaded with."""
        instance = super().from_db(*args, **kwargs)
        instance._note_as_loaded(None)
        return instance

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Load the row, or these fields of it, again."""
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, *args, **kwargs)
        self._note_as_loaded(names)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.AS_LOADED and name in self._as_loaded:
            self._as_loaded = {key: known for key, known in self._as_loaded.items() if key != name}
        super().__setattr__(name, value)

    def _note_as_loaded(self, names: Collection[str] | None) -> None:
        """Row and instance are the same in these fields, in all of them if it is None."""
        columns = [
            column
            for column in self.AS_LOADED.intersection(self.__dict__)
            if names is None or column in names or self._meta.get_field(column).name in names
        ]
        self._as_loaded = {**self._as_loaded, **{column: self.__dict__[column] for column in columns}}

    def _take_over_what_is_stale(self, stored: Mapping[str, Any], written: Collection[str] | None) -> None:
        """Take the row's value of what this save writes though nobody set it here."""
        if written is None:
            # Older than this instance is only a row whose last save was rolled back.
            mine = self.__dict__.get("updated_at")
            if mine is None or stored["updated_at"] >= mine:
                names = {name for name, known in self._as_loaded.items() if self.__dict__.get(name) == known}
                self._take_over(names, stored)
            return
        self._take_over(self._written_with(written) - set(written), stored)

    def _take_over(self, names: Collection[str], stored: Mapping[str, Any]) -> None:
        for name in names:
            if self.__dict__.get(name) != stored[name]:
                setattr(self, name, stored[name])


def _with_names_of_fields(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of a save, `update_fields` among those by name, and read once.

    What Django refuses, too many arguments or one given twice, stays for Django to refuse.
    """
    if len(args) == _PLACE_OF_UPDATE_FIELDS + 1 and kwargs.get("update_fields") is None:
        args, kwargs = args[:-1], {**kwargs, "update_fields": args[-1]}
    names = kwargs.get("update_fields")
    if names is not None:
        kwargs = {**kwargs, "update_fields": frozenset(names)}
    return args, kwargs
