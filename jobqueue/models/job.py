"""The job: one piece of work, and its proxies with menu entries of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from jobqueue import signals
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.models import guards, transitions
from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.models.held import still_at
from jobqueue.models.job_indexes import INDEXES
from jobqueue.models.querysets import SKIPPED_PREFIX, JobManager, JobQuerySet
from jobqueue.models.worker import Worker
from jobqueue.models.written import alias_of
from jobqueue.progress import Progress
from jobqueue.sql import rows
from jobqueue.sql.writing import writing

NOT_RETRIED = gettext_noop(
    "job %(number)s is %(state)s and cannot be retried; that takes a job that is failed or cancelled"
)
_NOT_CANCELLED = gettext_noop(
    "job %(number)s is %(state)s and cannot be cancelled; that takes a job that is waiting"
)
NOT_RUN_NOW = gettext_noop(
    "job %(number)s is %(state)s and cannot be run now; that takes a job that is waiting"
)
NOT_MOVED = gettext_noop("job %(number)s is %(state)s and cannot be moved; that takes a job that is waiting")


class Job(models.Model):
    """One piece of work. `attempt` counts from 1 and, with `id`, names its messages.

    A claim belongs to the worker that made it: every later change by that worker asks for the
    same `id`, `attempt` and `worker`, so a worker that was declared gone changes nothing.
    """

    State = transitions.State

    id = models.BigAutoField(primary_key=True)
    processor = models.CharField(_("processor"), max_length=100)
    queue = models.CharField(_("queue"), max_length=100)
    payload = models.JSONField(_("payload"), default=dict)
    subject = models.CharField(_("subject"), max_length=200, default="", blank=True)
    unique_key = models.CharField(_("unique key"), max_length=200, null=True, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    run_at = models.DateTimeField(_("run at"), db_default=Now())
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    timeout = models.FloatField(_("time limit"))
    reason = models.CharField(_("reason"), max_length=500, default="", blank=True)
    # Of a failed job, by what failures are grouped; empty if an older worker failed it.
    cause = models.CharField(_("cause"), max_length=LONGEST_CAUSE, default="", db_default="", blank=True)
    set_aside = models.CharField(_("set aside"), max_length=500, default="", db_default="", blank=True)
    worker = models.ForeignKey(
        Worker,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="jobs",
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # Of a waiting job that is held: when it was to run. Its `run_at` is then no time that comes.
    held_run_at = models.DateTimeField(_("held, was to run at"), null=True, blank=True)
    # Of a waiting job: workers that cannot run it have handed it on since then, and nobody else took it.
    unfit_since = models.DateTimeField(_("known to no worker since"), null=True, blank=True)
    # The number of the bulk action that retried it last; its row may be gone before the job's.
    bulk_action = models.BigIntegerField(_("bulk action"), null=True, blank=True)
    # The job that an operator made this one from, if it is there yet; few of many, which an index finds.
    copied_from = models.BigIntegerField(_("copied from"), null=True, blank=True)
    # Somebody asked for the end of the run that is under way: `stopped by <who>: <why>`.
    stop_asked_at = models.DateTimeField(_("stop asked for"), null=True, blank=True)
    stop_reason = models.CharField(_("stopped"), max_length=500, default="", db_default="", blank=True)

    # What the run that is under way said of itself, in the process that runs it; no column.
    progress: Progress | None = None

    objects: ClassVar[JobManager] = JobManager()

    class Meta:
        ordering = ["-id"]
        base_manager_name = "objects"
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("retry_job", _("Can retry jobs")),
            ("cancel_job", _("Can cancel jobs")),
            ("run_job", _("Can run delayed jobs now")),
            ("put_back_job", _("Can put stuck jobs back on the road")),
            ("fail_job", _("Can end stuck jobs as failed")),
            ("stop_job", _("Can stop running jobs")),
            ("move_job", _("Can move jobs to another time")),
            ("hold_job", _("Can hold jobs")),
            ("release_job", _("Can release held jobs")),
            ("copy_job", _("Can enqueue copies of jobs with another payload")),
            ("put_back_set_aside", _("Can put back what was set aside")),
            ("view_payload", _("Can read payloads, errors and tracebacks of jobs in full")),
            ("view_audit", _("Can read what operators did")),
        ]
        constraints = [
            # Only a job that never started holds its key: one that runs may have read the world before
            # the change that the next one is about, so it must not swallow it.
            models.UniqueConstraint(
                fields=["unique_key"],
                condition=models.Q(state="waiting", started_at__isnull=True, unique_key__isnull=False),
                name="jobqueue_unique_key_waiting",
            ),
        ]
        indexes = INDEXES

    def __str__(self) -> str:
        return f"{self.processor} #{self.pk}"

    @classmethod
    def unsaved(cls, *, processor: str, queue: str, payload: dict[str, Any], timeout: float) -> Job:
        """A new job with the defaults of its other fields; see `jobqueue.sql.rows`."""
        return rows.unsaved(
            cls, _defaults(), processor=processor, queue=queue, payload=payload, timeout=timeout
        )

    @property
    def message_id(self) -> str:
        """The id of the message that runs this attempt: `<job id>-<attempt>`."""
        return f"{self.pk}-{self.attempt}"

    @property
    def is_skipped(self) -> bool:
        """Whether the job completed without finding anything to do."""
        return self.state == self.State.COMPLETED and self.reason.startswith(SKIPPED_PREFIX)

    def retry(self) -> None:
        """Put a failed or cancelled job back on the road with a full budget of retries.

        Raises JobMoveRefused where its time lies ahead and the app that owns it does not let it run now.
        """
        self._bring_forward(transitions.retry, NOT_RETRIED)

    def cancel(self, reason: str = "cancelled") -> None:
        """Take a waiting job off the road for good."""
        using = self._written_to
        with writing(using):
            self._take(lambda jobs: transitions.cancel(jobs, reason), _NOT_CANCELLED)
            signals.job_cancelled.send(Job, jobs=[self], reason=reason, using=using)

    def run_now(self) -> None:
        """Make a delayed job due at once. Raises JobMoveRefused where the app that owns it says no."""
        self._bring_forward(transitions.run_now, NOT_RUN_NOW)

    def move(self, moment: datetime, *, seen: datetime | None = None) -> None:
        """Let a waiting job, held or not, run at another time ahead, sooner or later.

        With `seen` only if that is still its time as the row is written. Raises PastRunAt for a time that is
        past, for which there is `run_now`, and JobMoveRefused where the app that owns it does not allow it.
        """
        using = self._written_to
        with writing(using):
            guards.check_ahead(moment, using)
            signals.job_moving.send(Job, job=self, moment=moment, using=using)
            self._take(lambda jobs: transitions.reschedule(jobs.filter(still_at(seen)), moment), NOT_MOVED)

    @property
    def _written_to(self) -> str:
        return alias_of(self)

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Read the row again, and what was not read of it, where it is written."""
        super().refresh_from_db(using or self._written_to, fields, from_queryset)

    def _bring_forward(self, verb: Callable[[JobQuerySet], int], refusal: str) -> None:
        using = self._written_to
        with writing(using):
            guards.ask(self, using)
            self._take(verb, refusal)

    def _take(self, verb: Callable[[JobQuerySet], int], refusal: str) -> None:
        """Take this step, or refuse with what would be allowed; the instance is as its row afterwards."""
        using = self._written_to
        with writing(using):
            changed = verb(Job.objects.using(using).filter(pk=self.pk))
            self.refresh_from_db(using=using)
        if not changed:
            words = {"number": self.pk, "state": self.get_state_display()}
            raise JobTransitionRefused(gettext(refusal) % words)


@lru_cache(maxsize=1)
def _defaults() -> dict[str, Any]:
    return dict(Job().__dict__)


@lru_cache(maxsize=64)
def jobs_in(using: str) -> JobManager:
    """The manager of the jobs in one database, made once: to make one takes 0.08 ms from an idle start."""
    return Job.objects.db_manager(using)


class FailedJob(Job):
    """Failed jobs as a menu entry of their own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("failed job")
        verbose_name_plural = _("failed jobs")


class StuckJob(Job):
    """Stuck jobs as a menu entry of their own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("stuck job")
        verbose_name_plural = _("stuck jobs")


class SetAsideJob(Job):
    """What was set aside, as a menu entry of its own: jobs, and messages and keys in Redis."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("set aside")
        verbose_name_plural = _("set aside")
