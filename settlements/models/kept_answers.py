"""What was answered to a request that must not be done twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobqueue.models import WrittenManager

LONGEST_KEY: Final = 200
KEPT_FOR: Final = timedelta(days=30)
"""After so long a key may be used anew."""
_FORGOTTEN_AT_ONCE: Final = 100


class KeptAnswer(models.Model):
    """The answer to one user's request with one key: the same request gets it again, another is refused."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    key = models.CharField(_("key"), max_length=LONGEST_KEY)
    # Of the body, so that no amount stands here twice.
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    status = models.PositiveIntegerField(_("status"), default=201)
    body = models.JSONField(_("body"), default=dict)
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)

    objects = WrittenManager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("kept answer")
        verbose_name_plural = _("kept answers")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="settlements_answer_once")]

    def __str__(self) -> str:
        return self.key


def forget_old_answers(using: str) -> int:
    """Drop some of those that were kept long enough; how many."""
    rows = KeptAnswer.objects.using(using)
    old = rows.filter(created_at__lt=timezone.now() - KEPT_FOR).order_by("created_at")
    keys = list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
    return rows.filter(pk__in=keys).delete()[0] if keys else 0
