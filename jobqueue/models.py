"""The rows that remember: jobs, their failed attempts, queues and workers, with their verbs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Self

from django.db import connections, models, router, transaction
from django.db.models.base import ModelState
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from jobqueue import events
from jobqueue.conf import get_settings
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.statements import (
    CLAIMED_FIELDS,
    claim_statement,
    complete_statement,
    insert_or_lock_statement,
    insert_statement,
    run,
)

SKIPPED_PREFIX = "skipped: "
_BATCH = 500


class AtomicSaveMixin(models.Model):
    """Saves and deletes in one transaction with what their signals write.

    Django commits a plain `save()` before it sends `post_save`; without this mixin a crash
    between the two keeps the row and loses its jobs.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row and everything its signals write, or nothing."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row and everything its signals delete, or nothing."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            return super().delete(*args, **kwargs)


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
    stopping = models.BooleanField(_("stopping"), default=False)

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name


class Queue(models.Model):
    """What operators decide about a queue. A queue without a row is neither paused nor limited."""

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    paused = models.BooleanField(
        _("paused"), default=False, help_text=_("No job of a paused queue is started.")
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

    class Meta:
        ordering = ["name"]
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        permissions = [("pause_queue", _("Can pause and resume queues"))]

    def __str__(self) -> str:
        return self.name


class JobTally(models.Model):
    """Jobs that a queue gained or lost, by kind: the sum of the amounts is how many there are.

    Written by the database's triggers alone (`jobqueue/tally.py`); only `id` is unique, because on
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

    class Meta:
        default_permissions = ()
        verbose_name = _("job tally")
        verbose_name_plural = _("job tallies")

    def __str__(self) -> str:
        return f"{self.amount:+} {self.kind} in {self.queue}"


class JobQuerySet(models.QuerySet["Job"]):
    """The questions people ask about jobs. All compare with the database's clock."""

    def waiting(self) -> Self:
        """Jobs that have not started, due or delayed."""
        return self.filter(state=Job.State.WAITING)

    def due(self) -> Self:
        """Waiting jobs whose time has come."""
        return self.waiting().filter(run_at__lte=Now())

    def delayed(self) -> Self:
        """Waiting jobs whose time lies ahead."""
        return self.waiting().filter(run_at__gt=Now())

    def active(self) -> Self:
        """Jobs that a worker has claimed."""
        return self.filter(state=Job.State.ACTIVE)

    def failed(self) -> Self:
        """Jobs that need attention: their attempts are used up, or they were discarded."""
        return self.filter(state=Job.State.FAILED)

    def unfinished(self) -> Self:
        """Jobs that may still have an effect."""
        return self.filter(state__in=[Job.State.WAITING, Job.State.ACTIVE])

    def skipped(self) -> Self:
        """Completed jobs that found nothing to do."""
        return self.filter(state=Job.State.COMPLETED, reason__startswith=SKIPPED_PREFIX)

    def stuck(self) -> Self:
        """Active jobs whose worker is gone or which ran past their time limit and its grace."""
        settings = get_settings()
        silent_since = Now() - timedelta(seconds=settings.worker_silence)
        alive = Worker.objects.using(self.db).filter(heartbeat_at__gte=silent_since)
        return self.active().filter(
            ~models.Q(worker_id__in=alive.values("id"))
            | models.Q(deadline_at__lt=Now() - timedelta(seconds=settings.timeout_grace))
        )

    def about(self, subject: str | models.Model) -> Self:
        """Jobs whose subject is this model instance or subject text."""
        text = subject_of(subject) if isinstance(subject, models.Model) else subject
        # The second condition is the index's: SQLite uses the index only where it is repeated.
        return self.filter(subject=text).exclude(subject="")

    def retry_all(self) -> int:
        """Put the failed and cancelled jobs among these back on the road with a full budget of retries."""
        return self.filter(state__in=[Job.State.FAILED, Job.State.CANCELLED]).update(**_RETRIED)

    def cancel_all(self, reason: str = "cancelled", *, tell: bool = True) -> int:
        """Take the waiting jobs among these off the road for good; listeners to `job_cancelled` hear which.

        Without `tell` nobody hears of it: for code that cancels what it planned itself.
        """
        values = {"state": Job.State.CANCELLED, "finished_at": Now(), "reason": reason[:500]}
        if not tell or not events.job_cancelled.has_listeners(Job):
            return self.waiting().update(**values)
        chosen = list(self.waiting().order_by().values_list("pk", flat=True))
        changed = 0
        with transaction.atomic(using=self.db):
            for start in range(0, len(chosen), _BATCH):
                batch = Job.objects.using(self.db).filter(pk__in=chosen[start : start + _BATCH]).waiting()
                jobs = list(batch.select_for_update().order_by("pk"))
                changed += Job.objects.using(self.db).filter(pk__in=[job.pk for job in jobs]).update(**values)
                if jobs:
                    events.job_cancelled.send(Job, jobs=jobs, reason=reason, using=self.db)
        return changed

    def run_all_now(self) -> int:
        """Make the delayed jobs among these due at once."""
        return self.delayed().update(run_at=Now(), published_at=None)


_RETRIED: dict[str, Any] = {
    "state": "waiting",
    "attempt": models.F("attempt") + 1,
    "failures": 0,
    "run_at": Now(),
    "published_at": None,
    "finished_at": None,
    "worker": None,
    "reason": "",
    # What never started would claim its unique key again, which another job may hold by now.
    "started_at": Coalesce("started_at", Now()),
}


def subject_of(instance: models.Model) -> str:
    """The subject text of a model instance: `"settlements.settlement:<pk>"`."""
    return f"{instance._meta.label_lower}:{instance.pk}"


_ManagerOfJobs = models.Manager.from_queryset(JobQuerySet)


class JobManager(_ManagerOfJobs["Job"]):
    """The steps that every job takes: insert, claim and complete, one statement for a batch."""

    def insert(self, jobs: Sequence[Job]) -> None:
        """Write new jobs with one statement. They get their ids, and the times that the database gave them.

        Due are those whose `published_at` is set. Raises IntegrityError if a unique key is held; then none
        was written.
        """
        if not jobs:
            return
        connection = connections[self.db]
        if connection.vendor not in ("postgresql", "sqlite"):
            self.bulk_create(jobs)
            for job in jobs:
                job.published_at = job.published_at and job.created_at
            return
        _note_inserted(jobs, run(connection, insert_statement(connection, jobs)), self.db)

    def insert_or_lock(self, jobs: Sequence[Job]) -> list[Job]:
        """Write those of the new jobs whose unique key is free, with one statement, and return them.

        The waiting jobs that hold the other keys are locked until the transaction ends, and stay as they are.
        A key that another transaction is about to write or to set free is waited for. No key stands twice in
        `jobs`.
        """
        connection = connections[self.db]
        rows = run(connection, insert_or_lock_statement(connection, jobs))
        free = {unique_key for _pk, _created_at, unique_key in rows}
        written = [job for job in jobs if job.unique_key is None or job.unique_key in free]
        _note_inserted(written, rows, self.db)
        return written

    def claim(self, messages: Sequence[tuple[int, int]], worker_id: uuid.UUID) -> list[Job]:
        """Turn the waiting jobs among these `(job id, attempt)` pairs active for this worker, in their order.

        What does not come back is stale: it ran already, was cancelled, is not due, or is locked by
        somebody who is changing it and will publish it again. The jobs hold the columns that a run
        needs; others are loaded when they are asked for.
        """
        if not messages:
            return []
        connection = connections[self.db]
        rows = run(connection, claim_statement(connection, messages, worker_id))
        position = {job_id: index for index, (job_id, _attempt) in enumerate(messages)}
        rows.sort(key=lambda row: position[row[0]])
        return [_claimed_job(row, self.db, worker_id) for row in rows]

    def within_limits(
        self, messages: Sequence[tuple[str, int, int]], limits: Mapping[str, int]
    ) -> list[tuple[int, int]]:
        """The `(job id, attempt)` of those `(queue, job id, attempt)` that concurrency limits let start now.

        To be called in the transaction of their claim: until it ends, no other claim of these queues counts.
        """
        connection = connections[self.db]
        free: dict[str, int] = {}
        for queue in sorted(limits):
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"jobqueue:{queue}"])
            free[queue] = limits[queue] - self.active().filter(queue=queue).count()
        allowed = []
        for queue, job_id, attempt in messages:
            if queue in free:
                if free[queue] <= 0:
                    continue
                free[queue] -= 1
            allowed.append((job_id, attempt))
        return allowed

    def complete(self, done: Sequence[tuple[int, int, str]], worker_id: uuid.UUID) -> set[int]:
        """Complete active jobs of this worker, `(job id, attempt, reason)` each; returns the ids of its own.

        A claim that was taken away meanwhile is left alone.
        """
        if not done:
            return set()
        connection = connections[self.db]
        return {row[0] for row in run(connection, complete_statement(connection, done, worker_id))}


_PAYLOAD = CLAIMED_FIELDS.index("payload")
_CREATED_AT = CLAIMED_FIELDS.index("created_at")


def _note_inserted(jobs: Sequence[Job], rows: Sequence[tuple[Any, ...]], using: str) -> None:
    """Give the jobs what their INSERT returned: an id, and the time of the database."""
    if not rows:
        return
    created_at = _as_moment(rows[0][1])
    # Numbers are given in the order of the jobs, whatever the order of the answer.
    for job, (pk, *_others) in zip(jobs, sorted(rows), strict=True):
        values = job.__dict__
        values["id"], values["created_at"] = pk, created_at
        if values["published_at"] is not None:
            values["published_at"] = values["run_at"] = created_at
        job._state.adding, job._state.db = False, using


def _as_moment(value: datetime | str | float) -> datetime:
    """A time as a raw statement returns it: SQLite's are texts in UTC, of claims on PostgreSQL seconds."""
    if isinstance(value, float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _claimed_job(row: Sequence[Any], using: str, worker_id: uuid.UUID) -> Job:
    """The job of a claimed row, with its other fields deferred.

    Filled as `Model.from_db` does it, without the checks and signals of `Model.__init__`, which would
    take a third of a claim's time.
    """
    job = Job.__new__(Job)
    values = job.__dict__
    values.update(zip(CLAIMED_FIELDS, row, strict=True))
    if isinstance(row[_PAYLOAD], str):
        values["payload"] = json.loads(row[_PAYLOAD])
    values["created_at"] = _as_moment(row[_CREATED_AT])
    values["state"] = Job.State.ACTIVE
    values["worker_id"] = worker_id
    state = values["_state"] = ModelState()
    state.adding, state.db = False, using
    return job


class Job(models.Model):
    """One piece of work. `attempt` counts from 1 and, with `id`, names its messages.

    A claim belongs to the worker that made it: every later change by that worker asks for the
    same `id`, `attempt` and `worker`, so a worker that was declared gone changes nothing.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        ACTIVE = "active", _("active")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

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

    objects: ClassVar[JobManager] = JobManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("retry_job", _("Can retry jobs")),
            ("cancel_job", _("Can cancel jobs")),
            ("run_job", _("Can run delayed jobs now")),
            ("clear_job", _("Can clear stuck jobs")),
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
        indexes = [
            # What the relay asks: due and not published; then published long ago.
            models.Index(
                fields=["run_at"],
                condition=models.Q(state="waiting", published_at__isnull=True),
                name="jobqueue_job_unpublished",
            ),
            models.Index(
                fields=["published_at", "id"],
                condition=models.Q(state="waiting", published_at__isnull=False),
                name="jobqueue_job_published",
            ),
            # What the admin lists: the rows that are not done. Every index that a claim or an outcome has
            # to write costs each job its share, so active rows stand only in the index of their worker.
            models.Index(
                fields=["queue", "state", "run_at"],
                condition=models.Q(state__in=["waiting", "failed"]),
                name="jobqueue_job_open",
            ),
            models.Index(fields=["worker"], condition=models.Q(state="active"), name="jobqueue_job_active"),
            models.Index(
                fields=["subject", "-id"], condition=~models.Q(subject=""), name="jobqueue_job_subject"
            ),
            models.Index(fields=["created_at"], name="jobqueue_job_created"),
        ]

    def __str__(self) -> str:
        return f"{self.processor} #{self.pk}"

    @classmethod
    def unsaved(cls, *, processor: str, queue: str, payload: dict[str, Any], timeout: float) -> Job:
        """A new job with the defaults of its other fields: what `Job(...)` makes, in a tenth of the time."""
        job = cls.__new__(cls)
        job.__dict__ = {
            **_defaults(),
            "_state": ModelState(),
            "processor": processor,
            "queue": queue,
            "payload": payload,
            "timeout": timeout,
        }
        return job

    @property
    def message_id(self) -> str:
        """The id of the message that runs this attempt: `<job id>-<attempt>`."""
        return f"{self.pk}-{self.attempt}"

    @property
    def is_skipped(self) -> bool:
        """Whether the job completed without finding anything to do."""
        return self.state == self.State.COMPLETED and self.reason.startswith(SKIPPED_PREFIX)

    def _change(self, allowed: Sequence[str], verb: str, **values: Any) -> None:
        using = self._state.db or router.db_for_write(Job, instance=self)
        changed = Job.objects.using(using).filter(pk=self.pk, state__in=allowed).update(**values)
        self.refresh_from_db(using=using)
        if not changed:
            raise JobTransitionRefused(
                f"job {self.pk} is {self.state} and cannot be {verb}; "
                f"that takes a job that is {' or '.join(allowed)}"
            )

    def retry(self) -> None:
        """Put a failed or cancelled job back on the road with a full budget of retries."""
        self._change(
            [self.State.FAILED, self.State.CANCELLED],
            "retried",
            **_RETRIED,
        )

    def cancel(self, reason: str = "cancelled") -> None:
        """Take a waiting job off the road for good."""
        using = self._state.db or router.db_for_write(Job, instance=self)
        with transaction.atomic(using=using):
            self._change(
                [self.State.WAITING],
                "cancelled",
                state=self.State.CANCELLED,
                finished_at=Now(),
                reason=reason[:500],
            )
            events.job_cancelled.send(Job, jobs=[self], reason=reason, using=using)

    def run_now(self) -> None:
        """Make a delayed job due at once."""
        self._change([self.State.WAITING], "run now", run_at=Now(), published_at=None)


@lru_cache(maxsize=1)
def _defaults() -> dict[str, Any]:
    return dict(Job().__dict__)


@lru_cache(maxsize=64)
def jobs_in(using: str) -> JobManager:
    """The manager of the jobs in one database, made once: to make one takes 0.08 ms from an idle start."""
    return Job.objects.db_manager(using)


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

    class Meta:
        ordering = ["job_id", "number"]
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="jobqueue_attempt_number")]

    def __str__(self) -> str:
        return f"{self.error_class} in attempt {self.number}"


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
