"""The questions people ask about jobs, and the steps that many of them take at once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.db import connections, models
from django.db.models.functions import Now

from jobqueue import signals
from jobqueue.conf import get_settings
from jobqueue.models import guards, transitions
from jobqueue.models.subjects import subject_of, subject_text
from jobqueue.models.transitions import State
from jobqueue.models.worker import Worker
from jobqueue.models.written import WrittenManager
from jobqueue.registry import check_queue
from jobqueue.sql.tolerant import TolerantQuerySet
from jobqueue.sql.writing import writing

if TYPE_CHECKING:
    from jobqueue.models.job import Job

SKIPPED_PREFIX = "skipped: "
OUTAGE_PREFIX = "waits for the database: "
_BATCH = 500


class JobQuerySet(TolerantQuerySet["Job"]):
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

    def set_aside(self) -> Self:
        """Failed jobs that could not be worked on, and stand on the list that says so."""
        # Not `=`: SQLite would take the index of causes, and read all that failed.
        return self.filter(state__in=[State.FAILED]).exclude(set_aside="")

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
        text = subject_of(subject) if isinstance(subject, models.Model) else subject_text(subject)
        # The second condition is the index's: SQLite uses the index only where it is repeated.
        return self.filter(subject=text).exclude(subject="")

    def held_by(self, worker_id: uuid.UUID) -> Self:
        """Active jobs that this worker has claimed."""
        return self.active().filter(worker_id=worker_id)

    def free_or_held_by(self, worker_id: uuid.UUID | None) -> Self:
        """Waiting jobs, and the active ones that this worker has claimed."""
        return self.filter(models.Q(state=State.WAITING) | models.Q(state=State.ACTIVE, worker_id=worker_id))

    def retry_all(self, bulk_action: int | None = None) -> int:
        """Put the failed and cancelled jobs among these back on the road with a full budget of retries.

        `bulk_action` is the number of the one that does it. What is guarded, `Job.retry` asks for.
        """
        return transitions.retry(guards.unguarded(self), bulk_action)

    def delete_all(self, reason: str = "deleted") -> int:
        """Delete these jobs with their failed attempts; how many jobs.

        Listeners to `job_cancelled` hear which of them waited or had failed: nothing is to bring these back.
        What is only tidied away (`jobqueue_prune`) is deleted by `delete()`, and nobody hears of it.
        """
        if not signals.job_cancelled.has_listeners(self._sender):
            return self.delete()[1].get("jobqueue.Job", 0)
        undone = self.filter(state__in=[State.WAITING, State.FAILED]).order_by()
        chosen = list(undone.values_list("pk", flat=True))
        with writing(self.db):
            for start in range(0, len(chosen), _BATCH):
                batch = self._locked(chosen[start : start + _BATCH], [State.WAITING, State.FAILED])
                self._tell_cancelled(batch, reason)
            return self.delete()[1].get("jobqueue.Job", 0)

    def cancel_all(self, reason: str = "cancelled", *, tell: bool = True) -> int:
        """Take the waiting jobs among these off the road for good; listeners to `job_cancelled` hear which.

        Without `tell` nobody hears of it: for code that cancels what it planned itself.
        """
        if not tell or not signals.job_cancelled.has_listeners(self._sender):
            return transitions.cancel(self, reason)
        chosen = list(self.waiting().order_by().values_list("pk", flat=True))
        with writing(self.db):
            return sum(
                self._cancel_and_tell(chosen[start : start + _BATCH], reason)
                for start in range(0, len(chosen), _BATCH)
            )

    @property
    def _sender(self) -> type[models.Model] | None:
        """Whom listeners know: the job's own model, also where these are asked for by a proxy of it."""
        return self.model._meta.concrete_model

    def _cancel_and_tell(self, ids: Sequence[int], reason: str) -> int:
        jobs = self._locked(ids, [State.WAITING])
        rows = self.model._default_manager.using(self.db)
        changed = transitions.cancel(rows.filter(pk__in=[job.pk for job in jobs]), reason)
        self._tell_cancelled(jobs, reason)
        return changed

    def _locked(self, ids: Sequence[int], states: Sequence[State]) -> list[Job]:
        rows = self.model._default_manager.using(self.db).filter(pk__in=ids, state__in=states)
        return list(rows.select_for_update().order_by("pk"))

    def _tell_cancelled(self, jobs: list[Job], reason: str) -> None:
        if jobs:
            signals.job_cancelled.send(self._sender, jobs=jobs, reason=reason, using=self.db)

    def move_to(self, queue: str) -> int:
        """Let the waiting jobs among these run in another queue: theirs was renamed, say. Returns how many.

        Raises UnknownQueue if RQ_QUEUES does not have it.
        """
        return transitions.move(self, check_queue(queue))

    def run_all_now(self) -> int:
        """Make the delayed jobs among these due at once. What is guarded, `Job.run_now` asks for."""
        return transitions.run_now(guards.unguarded(self.delayed()))


_ManagerOfJobs = models.Manager.from_queryset(JobQuerySet)


class JobManager(WrittenManager["Job"], _ManagerOfJobs["Job"]):
    """The jobs of one database, whose running ones are counted before others start."""

    def within_limits(
        self, messages: Sequence[tuple[str, int, int]], limits: Mapping[str, int]
    ) -> list[tuple[int, int]]:
        """The `(job id, attempt)` of those `(queue, job id, attempt)` that concurrency limits let start now.

        To be called in the transaction of their claim: until it ends, no other claim of these queues counts.
        """
        free: dict[str, int] = {}
        for queue in sorted(limits):
            self._count_alone(queue)
            free[queue] = limits[queue] - self.active().filter(queue=queue).count()
        allowed = []
        for queue, job_id, attempt in messages:
            if queue in free:
                if free[queue] <= 0:
                    continue
                free[queue] -= 1
            allowed.append((job_id, attempt))
        return allowed

    def left_by_limit(self, processor: str, most: int, limit: int | None) -> int:
        """How many jobs of a processor may start now, at most so many.

        To be called in the transaction of their claim, beside which nobody counts; before `within_limits`.
        """
        self._count_alone(f"processor:{processor}")
        if limit is None:
            return most
        return max(0, min(most, limit - self.active().filter(processor=processor).count()))

    def _count_alone(self, name: str) -> None:
        """Until the transaction ends nobody else counts by this name; SQLite has one writer anyway."""
        connection = connections[self.db]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"jobqueue:{name}"])
