"""A cause's row: what operators decide about failures of one cause."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.models.written import TolerantManager


class Cause(models.Model):
    """What operators decide about a cause of failures. A cause without a row is not muted.

    Failures of a muted cause are listed apart, and do not count among what is wrong.
    """

    name = models.CharField(_("cause"), max_length=LONGEST_CAUSE, primary_key=True)
    muted_at = models.DateTimeField(_("muted"), null=True, blank=True)
    muted_by = models.CharField(_("muted by"), max_length=200, default="", blank=True)

    objects = TolerantManager()

    class Meta:
        ordering = ["name"]
        default_permissions = ()
        verbose_name = _("cause of failures")
        verbose_name_plural = _("failures by cause")
        permissions = [
            ("mute_cause", _("Can mute causes of failures")),
            ("unmute_cause", _("Can let muted causes of failures count again")),
        ]

    def __str__(self) -> str:
        return self.name


def muted_causes(using: str) -> set[str]:
    """The names of the causes that operators muted: few, for people do that by hand."""
    muted = Cause.objects.using(using).filter(muted_at__isnull=False)
    return set(muted.values_list("name", flat=True))
