"""What people order of running workers: to stop a job, to be quiet, to go on, to end.

Each is written in a row, where the worker looks every second on whatever host it is, and rung for in Redis,
so that it looks at once. Who asks first is the one; each verb says what it changed.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobqueue.broker import bell
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable, WorkerGone, WorkerOrderRefused, WorkerTooOld
from jobqueue.models import Job, Worker, alias_of, stopping
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)


def stop_job(job: Job, *, who: str, why: str = "") -> None:
    """Have the run of this job ended: JobStopped is raised in it, and it ends as cancelled for good.

    Raises JobTransitionRefused, and says why, if the job does not run, is being stopped already, or its
    worker is gone or of a version that does not know how. What it did until then is done.
    """
    using = alias_of(job)
    stopping.ask(job, who, why, using)
    _ring_after_commit([str(job.worker_id).replace("-", "")], using)


def quiet(worker: Worker) -> list[Worker]:
    """Let this worker claim no more jobs, in all its processes; those that it runs go on.

    Returns the processes that this changed. Raises WorkerOrderRefused if it is gone or too old to know that.
    """
    return _order(worker, models.Q(quiet_asked_at__isnull=True), quiet_asked_at=Now())


def resume(worker: Worker) -> list[Worker]:
    """Let a quiet worker claim jobs again. Returns and raises as `quiet`."""
    return _order(worker, models.Q(quiet_asked_at__isnull=False), quiet_asked_at=None)


def stop(worker: Worker) -> list[Worker]:
    """Let this worker end as by SIGTERM, in all its processes. Returns and raises as `quiet`.

    What runs may finish within the shutdown time-out, the rest is handed back. Whoever started the worker may
    start it again.
    """
    return _order(worker, models.Q(stop_asked_at__isnull=True), stop_asked_at=Now())


def family_of(worker: Worker, using: str) -> models.QuerySet[Worker]:
    """The living processes of the worker that this one is a process of."""
    silent_since = Now() - timedelta(seconds=get_settings().worker_silence)
    alive = Worker.objects.using(using).filter(heartbeat_at__gte=silent_since)
    if worker.supervisor_pid is None:
        return alive.filter(pk=worker.pk)
    return alive.filter(hostname=worker.hostname, supervisor_pid=worker.supervisor_pid)


def _order(worker: Worker, changing: models.Q, **values: object) -> list[Worker]:
    using = alias_of(worker)
    with writing(using):
        rows = family_of(worker, using)
        refusal = _why_not(worker, list(rows), using)
        if refusal is not None:
            raise refusal
        changed = list(rows.filter(changing).select_for_update().order_by("pk"))
        Worker.objects.using(using).filter(pk__in=[row.pk for row in changed]).update(**values)
    _ring_after_commit([row.pk.hex for row in changed], using)
    return sorted(changed, key=lambda row: row.name)


def _why_not(worker: Worker, family: list[Worker], using: str) -> WorkerOrderRefused | None:
    if not family:
        text = _("worker %(worker)s has given no sign of life for %(seconds)s s")
        silence = (database_now(using) - worker.heartbeat_at).total_seconds()
        return WorkerGone(text % {"worker": worker.title, "seconds": f"{silence:.0f}"})
    if not all(row.takes_orders for row in family):
        text = _(
            "worker %(worker)s runs an older version, which does not look for what is asked of it: "
            "send SIGTERM to it on %(host)s"
        )
        return WorkerTooOld(text % {"worker": worker.title, "host": worker.hostname})
    return None


def _ring_after_commit(workers: list[str], using: str) -> None:
    for worker in workers:
        transaction.on_commit(partial(_ring, worker), using=using, robust=True)


def _ring(worker: str) -> None:
    try:
        bell.ring_for_orders(worker)
    except BrokerUnavailable as error:
        logger.info("the worker looks a moment later: %s", error)
