"""The rows of counts: how many open jobs a queue gained or lost."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import WrittenManager


class JobTally(models.Model):
    """Jobs that a queue gained or lost, by kind: the sum of the amounts is how many there are.

    Written by the database's triggers alone (`jobqueue/counts/triggers.py`); only `id` is unique, because on
    PostgreSQL every statement appends its own rows.
    """

    class Kind(models.TextChoices):
        PUBLISHED = "published", _("waiting, published")
        UNPUBLISHED = "unpublished", _("waiting, not published: delayed, or due since a moment")
        FAILED = "failed", _("failed")

    id = models.BigAutoField(primary_key=True)
    queue = models.CharField(_("queue"), max_length=100)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    amount = models.IntegerField(_("amount"))

    objects = WrittenManager()

    class Meta:
        default_permissions = ()
        verbose_name = _("job tally")
        verbose_name_plural = _("job tallies")

    def __str__(self) -> str:
        return f"{self.amount:+} {self.kind} in {self.queue}"
