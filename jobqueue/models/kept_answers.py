"""What was answered to a request that must not be done twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import WrittenManager

LONGEST_KEY: Final = 200
KEPT_FOR: Final = timedelta(days=30)
"""After so long a key may be used anew."""
_FORGOTTEN_AT_ONCE: Final = 100


class AnyKeptAnswer(models.Model):
    """The answer to one user's request with one key: the same request gets it again, another is refused.

    Of an app that keeps its own, in the transaction of what was done; `user` says who asked.
    """

    user: Any
    id = models.BigAutoField(primary_key=True)
    key = models.CharField(_("key"), max_length=LONGEST_KEY)
    # Of the body, so that nothing of it stands here twice.
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    status = models.PositiveIntegerField(_("status"), default=201)
    body = models.JSONField(_("body"), default=dict)
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)

    objects: ClassVar[models.Manager[Any]] = WrittenManager()

    class Meta:
        abstract = True
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("kept answer")
        verbose_name_plural = _("kept answers")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="%(app_label)s_answer_once")]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def forget_old(cls, using: str) -> int:
        """Drop some of those that were kept long enough; how many."""
        rows = cls.objects.using(using)
        old = rows.filter(created_at__lt=timezone.now() - KEPT_FOR).order_by("created_at")
        keys = list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
        return rows.filter(pk__in=keys).delete()[0] if keys else 0


class KeptAnswer(AnyKeptAnswer):
    """Of verbs on jobs. The job queue knows no users but by their keys."""

    user = models.CharField(_("user"), max_length=255)
