"""Saves and deletes that commit together with what their signals write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models, router

from jobqueue.sql.writing import writing

# Django 5.2 takes it by position still, behind force_insert and force_update.
_PLACE_IN_SAVE = 2


class AtomicSaveMixin(models.Model):
    """Saves and deletes in one transaction with what their signals write.

    Django commits a plain `save()` before it sends `post_save`; without this mixin a crash
    between the two keeps the row and loses its jobs.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row and everything its signals write, or nothing."""
        with writing(_alias(self, args[_PLACE_IN_SAVE:], kwargs)):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row and everything its signals delete, or nothing."""
        with writing(_alias(self, args, kwargs)):
            return super().delete(*args, **kwargs)


def _alias(instance: models.Model, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Where it is written: `using`, by name or else the first of these, or what the routers choose."""
    using = kwargs.get("using") or (args[0] if args else None)
    return using or router.db_for_write(type(instance), instance=instance)
