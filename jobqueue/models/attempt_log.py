"""What an attempt of a job logged, written with the outcome of the attempt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.job import Job
from jobqueue.models.written import TolerantManager
from jobqueue.sql.fast_path import run
from jobqueue.sql.log_statements import log_statements


class LogLine(NamedTuple):
    """One line: the seconds since its attempt began, the name of its level, its logger, and what it says."""

    seconds: float
    level: str
    logger: str
    message: str


class KeptLog(NamedTuple):
    """The lines of one attempt that are kept, in their order."""

    lines: Sequence[LogLine] = ()
    left_out: int = 0
    """How many were too many."""
    left_out_after: int = 0
    """Behind how many of the lines those stood."""


class AttemptLog(models.Model):
    """What one attempt logged, however it ended; an attempt that logged nothing has no row.

    No constraint of the database ties it to its job: older code that deletes jobs knows nothing of it.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        Job,
        models.CASCADE,
        related_name="logs",
        db_constraint=False,
        db_index=False,
        verbose_name=_("job"),
    )
    number = models.PositiveIntegerField(_("attempt"))
    written_at = models.DateTimeField(_("written"), db_default=Now())
    # Of each line seconds, level, logger and message, in a list.
    lines = models.JSONField(_("lines"), default=list)
    left_out = models.PositiveIntegerField(_("left out"), default=0, db_default=0)
    left_out_after = models.PositiveIntegerField(_("left out after"), default=0, db_default=0)

    objects = TolerantManager()

    class Meta:
        ordering = ["job_id", "number"]
        default_permissions = ()
        verbose_name = _("log of an attempt")
        verbose_name_plural = _("logs of attempts")
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="jobqueue_attemptlog_number")]

    def __str__(self) -> str:
        return f"attempt {self.number}"

    @property
    def kept(self) -> KeptLog:
        """Its lines, as far as they are lines: whatever else stands in the row is passed over."""
        return KeptLog(list(_lines_in(self.lines)), self.left_out, self.left_out_after)


def write_logs(logs: Sequence[tuple[Job, KeptLog]], using: str) -> None:
    """Write down what these attempts logged, in the transaction that ends them."""
    connection = connections[using]
    rows = [{"job_id": job.pk, "number": job.attempt, **log._asdict()} for job, log in logs]
    for statement in log_statements(connection, rows):
        run(connection, statement)


def latest_logs(job: Job, most: int) -> list[AttemptLog]:
    """What the last `most` attempts that logged anything did log, in their order."""
    return list(job.logs.order_by("-number")[:most])[::-1]


def logs_without_job(using: str) -> models.QuerySet[AttemptLog]:
    """Those whose job was deleted by somebody who knew nothing of them: older code, or SQL."""
    job = Job.objects.using(using).filter(pk=models.OuterRef("job_id"))
    return AttemptLog.objects.using(using).filter(~models.Exists(job))


def _lines_in(value: Any) -> Iterator[LogLine]:
    for line in value if isinstance(value, list) else ():
        match line:
            case [int() | float() as seconds, str() as level, str() as logger, str() as message] if (
                math.isfinite(seconds)
            ):
                yield LogLine(seconds, level, logger, message)
