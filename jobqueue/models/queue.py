"""A queue's row: what operators decide about it."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import TolerantManager


class Queue(models.Model):
    """What operators decide about a queue. A queue without a row is neither paused nor limited."""

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    paused = models.BooleanField(
        _("paused"), default=False, help_text=_("No job of a paused queue is started.")
    )
    # Of the pause; code of a release before writes `paused` alone, so these mean nothing without it.
    paused_at = models.DateTimeField(_("paused since"), null=True, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    paused_by = models.CharField(_("paused by"), max_length=200, default="", db_default="", blank=True)
    pause_reason = models.CharField(
        _("reason of the pause"), max_length=500, default="", db_default="", blank=True
    )
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
    late_after = models.PositiveIntegerField(
        _("late after"),
        null=True,
        blank=True,
        help_text=_("Seconds that a due job may wait before the overview names it. Empty: LATE_AFTER."),
    )

    objects = TolerantManager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        permissions = [
            ("pause_queue", _("Can pause queues")),
            ("resume_queue", _("Can resume paused queues")),
            ("limit_queue", _("Can change the limits of queues")),
        ]

    def __str__(self) -> str:
        return self.name

    def is_paused_at(self, now: datetime) -> bool:
        """Whether no job of it is started then: a pause ends at its time, also before anybody wrote so."""
        return self.paused and (self.paused_until is None or self.paused_until > now)
