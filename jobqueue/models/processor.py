"""A processor's row: what operators decide about it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import TolerantManager


class ProcessorLimits(models.Model):
    """The limits of a processor, over all its queues. A processor without a row has none."""

    name = models.CharField(_("processor"), max_length=100, primary_key=True)
    rate_limit = models.PositiveIntegerField(
        _("rate limit"),
        null=True,
        blank=True,
        help_text=_("Jobs started per second by all workers together."),
    )
    concurrency_limit = models.PositiveIntegerField(
        _("concurrency limit"),
        null=True,
        blank=True,
        help_text=_("Jobs running at once in all workers together."),
    )

    objects = TolerantManager()

    class Meta:
        db_table = "jobqueue_processor"
        ordering = ["name"]
        # Who may see queues may see these.
        default_permissions = ()
        permissions = [("limit_processor", _("Can change the limits of processors"))]
        verbose_name = _("processor")
        verbose_name_plural = _("processors")

    def __str__(self) -> str:
        return self.name
