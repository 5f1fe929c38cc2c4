"""Rows that remember what their jobs were told, and keep what no save may overwrite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from jobqueue.models import AtomicSaveMixin


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
    READ_BEFORE_SAVE: ClassVar[tuple[str, ...]] = ()
    """Further columns that `before_save` compares with what the row holds."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row, its markers and its jobs in one transaction."""
        for attribute in self.kept_columns():
            getattr(self, attribute)  # one that was deferred is loaded: Django leaves out what is not
        names = kwargs.get("update_fields")
        if names:
            self._named = frozenset(self._meta.get_field(name).name for name in names)
            written = {
                *self._named,
                *(more for name in self._named for more in self.WRITTEN_WITH.get(name, ())),
            }
            kept = {kept for name in written for kept in self._kept_with(name)}
            kwargs["update_fields"] = {*written, "updated_at", *kept}
        try:
            super().save(*args, **kwargs)
        finally:
            self._named = None

    _named: Collection[str] | None = None

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
        return list(dict.fromkeys([*cls.ANNOUNCED, *cls.kept_columns(), *cls.READ_BEFORE_SAVE]))

    def before_save(self, stored: Mapping[str, Any] | None) -> None:
        """Make the row right before it is written: `stored` is what it holds, None if it is new."""
        written = self._named
        if stored is not None:
            for attribute in self.kept_columns():
                self.__dict__[attribute] = stored[attribute]
        self.keep_true(stored, written)
        self.mark_as_announced(stored)

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
