"""A failed run of a job."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.exceptions import DatabaseUnavailable
from jobqueue.models.job import Job
from jobqueue.models.written import WrittenManager
from jobqueue.sql.tolerant import TolerantQuerySet


class AttemptQuerySet(TolerantQuerySet["Attempt"]):
    """Failed runs of jobs."""

    def record(
        self,
        job: Job,
        *,
        error_class: str,
        message: str,
        worker_name: str,
        is_retried: bool,
        traceback: str = "",
    ) -> Attempt:
        """Write down that this attempt of the job failed, in the transaction that says what becomes of it.

        Raises IntegrityError if that was written down already.
        """
        return self.create(
            job_id=job.pk,
            number=job.attempt,
            error_class=error_class,
            message=message,
            traceback=traceback,
            worker_name=worker_name,
            is_retried=is_retried,
            started_at=job.started_at,
        )

    def outage_of(self, job: Job) -> tuple[datetime, datetime] | None:
        """Since when each run of this job, up to the last one, has met a database that was away; and when
        the last one ended.
        """
        for begun, last in self._outages(job).values_list("started_at", "finished_at")[:1]:
            return (begun, last) if begun else None
        return None

    def move_outage(self, job: Job, begun: datetime) -> None:
        """That was since this moment, by the clock as it is now."""
        self._outages(job).update(started_at=begun)

    def record_outage(
        self,
        job: Job,
        *,
        error_class: str,
        message: str,
        worker_name: str,
        is_retried: bool,
        traceback: str = "",
    ) -> None:
        """Write down that this attempt met a database that was away: one row for all such runs in a row.

        It has the number of the last of them, and started when the first was written down.
        """
        values = {
            "message": message,
            "traceback": traceback,
            "worker_name": worker_name,
            "is_retried": is_retried,
            "finished_at": Now(),
        }
        if not self._outages(job).update(number=job.attempt, **values):
            self.create(
                job_id=job.pk, number=job.attempt, error_class=error_class, started_at=Now(), **values
            )

    def _outages(self, job: Job) -> Self:
        last_two = (job.attempt - 1, job.attempt)  # the same one again after a hand-back
        return self.filter(job_id=job.pk, number__in=last_two, error_class=DatabaseUnavailable.__name__)


_ManagerOfAttempts = models.Manager.from_queryset(AttemptQuerySet)


class AttemptManager(WrittenManager["Attempt"], _ManagerOfAttempts["Attempt"]):
    """The failed runs of one database."""


class Attempt(models.Model):
    """One failed run of a job: what went wrong, where and when."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts", verbose_name=_("job"))
    number = models.PositiveIntegerField(_("attempt"))
    error_class = models.CharField(_("error"), max_length=200)
    message = models.TextField(_("message"), default="", blank=True)
    traceback = models.TextField(_("traceback"), default="", blank=True)
    worker_name = models.CharField(_("worker"), max_length=200, default="", blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), db_default=Now())
    # Whether another attempt followed by itself; none knows it who wrote the row before that was noted.
    is_retried = models.BooleanField(_("retried"), null=True, blank=True, editable=False)

    objects: ClassVar[AttemptManager] = AttemptManager()

    class Meta:
        ordering = ["job_id", "number"]
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="jobqueue_attempt_number")]
        # When jobs were retried, for the lists that charts lead to: an end that was the last costs nothing.
        indexes = [
            models.Index(
                fields=["finished_at", "job"],
                condition=models.Q(is_retried=True),
                name="jobqueue_attempt_retried",
            )
        ]

    def __str__(self) -> str:
        return gettext("%(error)s in attempt %(number)s") % {
            "error": self.error_class,
            "number": self.number,
        }
