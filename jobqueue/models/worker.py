"""A worker's row: its heartbeat is the proof that its jobs are alive."""

from __future__ import annotations

import re
import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import TolerantManager

# RQ makes up a name of 32 digits for who is given none; an executor adds its number.
_MADE_UP = re.compile(r"^([0-9a-f]{8})[0-9a-f]{24}(?=\.|$)")


def title_of(name: str) -> str:
    """What people call the worker of this name: as it was given, or the first eight of digits made up.

    Attempts keep no more of their worker than its name, so nothing else could be the same everywhere. By the
    title `worker:` finds its jobs, too.
    """
    return _MADE_UP.sub(r"\1", name)


class Worker(models.Model):
    """One executor process; its heartbeat is the proof that its jobs are alive."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    hostname = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    queues = models.JSONField(_("queues"), default=list)
    threads = models.PositiveIntegerField(_("threads"), default=1)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    heartbeat_at = models.DateTimeField(_("last heartbeat"), db_default=Now(), db_index=True)
    # What it says of itself; of an older worker nothing is known.
    version = models.CharField(_("version"), max_length=100, default="", db_default="", blank=True)
    memory = models.BigIntegerField(_("memory in bytes"), null=True, blank=True)
    stopping = models.BooleanField(_("stopping"), default=False)
    # Whether it looks for what people ask of it here and in the rows of its jobs; older ones do not.
    takes_orders = models.BooleanField(_("takes orders"), default=False, db_default=False)
    # Of the process that started it and its like: what is asked of one of them is asked of all.
    supervisor_pid = models.PositiveIntegerField(_("supervisor"), null=True, blank=True)
    # It is to claim no more jobs; it is to end, as by SIGTERM.
    quiet_asked_at = models.DateTimeField(_("quiet since"), null=True, blank=True)
    stop_asked_at = models.DateTimeField(_("stop asked for"), null=True, blank=True)

    # Older code, which walks none, inserts rows without it.
    walks_bulk_actions = models.BooleanField(_("walks bulk actions"), default=True, db_default=False)

    objects = TolerantManager()

    class Meta:
        ordering = ["-started_at"]
        base_manager_name = "objects"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        permissions = [
            ("quiet_worker", _("Can quiet workers")),
            ("resume_worker", _("Can let quiet workers claim again")),
            ("stop_worker", _("Can stop workers")),
        ]

    @property
    def served(self) -> list[str]:
        """The queues it serves, in order of priority; none where something else stands in its row."""
        queues = self.queues if isinstance(self.queues, list) else []
        return [queue for queue in queues if isinstance(queue, str)]

    @property
    def is_available(self) -> bool:
        """Whether it claims jobs, as far as people decide."""
        return self.quiet_asked_at is None and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether it ends, or was asked to."""
        return self.stopping or self.stop_asked_at is not None

    @property
    def title(self) -> str:
        """What people call it."""
        return title_of(self.name)

    def __str__(self) -> str:
        return self.title
