"""Saves and deletes that commit together with what their signals write."""

from __future__ import annotations

from typing import Any

from django.db import models, router

from jobqueue.sql.writing import writing


class AtomicSaveMixin(models.Model):
    """Saves and deletes in one transaction with what their signals write.

    Django commits a plain `save()` before it sends `post_save`; without this mixin a crash
    between the two keeps the row and loses its jobs.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row and everything its signals write, or nothing."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with writing(using):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row and everything its signals delete, or nothing."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with writing(using):
            return super().delete(*args, **kwargs)
