"""Workers: which are alive, and what operators tell them to do."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from jobqueue.conf import get_settings
from jobqueue.models import Worker
from jobqueue.sql.clock import database_now


def serving_workers(using: str) -> dict[str, list[Worker]]:
    """The living workers by the queues they serve."""
    alive_since = database_now(using) - timedelta(seconds=get_settings().worker_silence)
    serving: dict[str, list[Worker]] = {}
    for worker in Worker.objects.using(using).filter(heartbeat_at__gte=alive_since):
        for queue in worker.served if worker.is_available else ():
            serving.setdefault(queue, []).append(worker)
    return serving


def is_a_worker_alive(using: str) -> bool:
    """Whether somebody would walk a bulk action."""
    silent_since = Now() - timedelta(seconds=get_settings().worker_silence)
    walkers = Worker.objects.using(using).filter(walks_bulk_actions=True)
    return walkers.filter(heartbeat_at__gte=silent_since).exists()
