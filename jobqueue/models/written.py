"""Rows that are read where they are written: what a replica says of them may be old, and it takes no lock."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import models, router

from jobqueue.sql.replicas import written_through
from jobqueue.sql.tolerant import TolerantQuerySet

Row = TypeVar("Row", bound=models.Model)


def alias_of(instance: models.Model) -> str:
    """The alias through which this row is written, wherever the instance was read."""
    return written_through(instance._state.db or router.db_for_write(type(instance), instance=instance))


class WrittenManager(models.Manager[Row]):
    """Reads its rows, unless `using` says otherwise, through the alias that routers write them to."""

    _hints: dict[str, Any]

    @property
    def db(self) -> str:
        """The alias that is asked."""
        return self._db or router.db_for_write(self.model, **self._hints)

    def get_queryset(self) -> models.QuerySet[Row]:
        """The rows; a queryset that is made from it asks the same alias."""
        rows = super().get_queryset()
        rows._for_write = True  # type: ignore[attr-defined]
        return rows


_TolerantManager = models.Manager.from_queryset(TolerantQuerySet)


class TolerantManager(WrittenManager[Row], _TolerantManager[Row]):
    """Such rows, read though one of them holds what nobody wrote who uses these models."""
