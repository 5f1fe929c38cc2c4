"""The questions people ask about jobs, and the steps that many of them take at once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import connections, models, transaction
from django.db.models.functions import Now

from jobqueue import signals
from jobqueue.conf import get_settings
from jobqueue.models import transitions
from jobqueue.models.transitions import State
from jobqueue.models.worker import Worker
from jobqueue.sql.fast_path import run
from jobqueue.sql.rows import as_moment
from jobqueue.sql.statements import insert_or_lock_statement, insert_statement

if TYPE_CHECKING:
    from jobqueue.models.job import Job

SKIPPED_PREFIX = "skipped: "
_BATCH = 500


def subject_of(instance: models.Model) -> str:
    """The subject text of a model instance: `"settlements.settlement:<pk>"`."""
    return f"{instance._meta.label_lower}:{instance.pk}"


class JobQuerySet(models.QuerySet["Job"]):
    """The questions people ask about jobs. All compare with the database's clock."""

    def waiting(self) -> Self:
        """Jobs that have not started, due or delayed."""
        return self.filter(state=State.WAITING)

    def due(self) -> Self:
        """Waiting jobs whose time has come."""
        return self.waiting().filter(run_at__lte=Now())

    def delayed(self) -> Self:
        """Waiting jobs whose time lies ahead."""
        return self.waiting().filter(run_at__gt=Now())

    def active(self) -> Self:
        """Jobs that a worker has claimed."""
        return self.filter(state=State.ACTIVE)

    def failed(self) -> Self:
        """Jobs that need attention: their attempts are used up, or they were discarded."""
        return self.filter(state=State.FAILED)

    def unfinished(self) -> Self:
        """Jobs that may still have an effect."""
        return self.filter(state__in=[State.WAITING, State.ACTIVE])

    def skipped(self) -> Self:
        """Completed jobs that found nothing to do."""
        return self.filter(state=State.COMPLETED, reason__startswith=SKIPPED_PREFIX)

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

    def held_by(self, worker_id: uuid.UUID) -> Self:
        """Active jobs that this worker has claimed."""
        return self.active().filter(worker_id=worker_id)

    def retry_all(self) -> int:
        """Put the failed and cancelled jobs among these back on the road with a full budget of retries."""
        return transitions.retry(self)

    def cancel_all(self, reason: str = "cancelled", *, tell: bool = True) -> int:
        """Take the waiting jobs among these off the road for good; listeners to `job_cancelled` hear which.

        Without `tell` nobody hears of it: for code that cancels what it planned itself.
        """
        if not tell or not signals.job_cancelled.has_listeners(self.model):
            return transitions.cancel(self, reason)
        chosen = list(self.waiting().order_by().values_list("pk", flat=True))
        with transaction.atomic(using=self.db):
            return sum(
                self._cancel_and_tell(chosen[start : start + _BATCH], reason)
                for start in range(0, len(chosen), _BATCH)
            )

    def _cancel_and_tell(self, ids: Sequence[int], reason: str) -> int:
        rows = self.model._default_manager.using(self.db)
        jobs = list(rows.filter(pk__in=ids, state=State.WAITING).select_for_update().order_by("pk"))
        changed = transitions.cancel(rows.filter(pk__in=[job.pk for job in jobs]), reason)
        if jobs:
            signals.job_cancelled.send(self.model, jobs=jobs, reason=reason, using=self.db)
        return changed

    def run_all_now(self) -> int:
        """Make the delayed jobs among these due at once."""
        return transitions.run_now(self.delayed())


_ManagerOfJobs = models.Manager.from_queryset(JobQuerySet)


class JobManager(_ManagerOfJobs["Job"]):
    """What writes new jobs, and what counts them before they start."""

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


def _note_inserted(jobs: Sequence[Job], rows: Sequence[tuple[Any, ...]], using: str) -> None:
    """Give the jobs what their INSERT returned: an id, and the time of the database."""
    if not rows:
        return
    created_at = as_moment(rows[0][1])
    # Numbers are given in the order of the jobs, whatever the order of the answer.
    for job, (pk, *_others) in zip(jobs, sorted(rows), strict=True):
        values = job.__dict__
        values["id"], values["created_at"] = pk, created_at
        if values["published_at"] is not None:
            values["published_at"] = values["run_at"] = created_at
        job._state.adding, job._state.db = False, using
