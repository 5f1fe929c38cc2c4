"""A failed run of a job."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.job import Job
from jobqueue.models.written import WrittenManager
from jobqueue.sql.tolerant import TolerantQuerySet


class AttemptQuerySet(TolerantQuerySet["Attempt"]):
    """Failed runs of jobs."""

    def record(
        self, job: Job, *, error_class: str, message: str, worker_name: str, traceback: str = ""
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
            started_at=job.started_at,
        )


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

    objects: ClassVar[AttemptManager] = AttemptManager()

    class Meta:
        ordering = ["job_id", "number"]
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="jobqueue_attempt_number")]

    def __str__(self) -> str:
        return f"{self.error_class} in attempt {self.number}"
