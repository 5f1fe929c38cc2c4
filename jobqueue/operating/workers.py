"""Workers: which are alive, and what operators tell them to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobqueue.conf import get_settings
from jobqueue.delivery import orders
from jobqueue.models import Worker
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because, counted
from jobqueue.operating.language import in_english
from jobqueue.operating.rights import Right
from jobqueue.sql.writing import writing


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker can be told to do, in all its processes."""

    label: Promise
    right: Right
    apply: Callable[[Worker], list[Worker]]


ORDERS = {
    "quiet": Order(_("Quiet"), Right.QUIET_WORKER, orders.quiet),
    "resume": Order(_("Resume"), Right.RESUME_WORKER, orders.resume),
    "stop": Order(_("Stop"), Right.STOP_WORKER, orders.stop),
}


WORKER_STATES = ("alive", "quiet", "stopping", "silent")
"""Each says less than the next: one that is silent is nothing else."""


def state_of(worker: Worker, now: datetime) -> str:
    """How it stands at that moment, by its last sign of life and what it was told or does: one of these."""
    if is_silent(worker, now):
        return "silent"
    if worker.is_stopping:
        return "stopping"
    return "alive" if worker.quiet_asked_at is None else "quiet"


def is_silent(worker: Worker, now: datetime) -> bool:
    """Whether its last sign of life is too long ago."""
    return (now - worker.heartbeat_at).total_seconds() > get_settings().worker_silence


def serving_workers(using: str) -> dict[str, list[Worker]]:
    """The living workers that claim jobs, by the queues they serve."""
    crews = crews_of_queues(using)
    return {queue: crew.claiming for queue, crew in crews.items() if crew.claiming}


@dataclass(slots=True)
class Crew:
    """The living workers of one queue: those that claim jobs, and those that are quiet or ending."""

    claiming: list[Worker] = field(default_factory=list)
    quiet: list[Worker] = field(default_factory=list)


def crews_of_queues(using: str) -> dict[str, Crew]:
    """The living workers by the queues they serve."""
    crews: dict[str, Crew] = {}
    for worker in _alive(using):
        for queue in worker.served:
            crew = crews.setdefault(queue, Crew())
            (crew.claiming if worker.is_available else crew.quiet).append(worker)
    return crews


def is_a_worker_alive(using: str) -> bool:
    """Whether somebody would walk a bulk action."""
    return _alive(using).filter(walks_bulk_actions=True).exists()


def _alive(using: str) -> QuerySet[Worker]:
    silent_since = Now() - timedelta(seconds=get_settings().worker_silence)
    return Worker.objects.using(using).filter(heartbeat_at__gte=silent_since)


def order_and_log(request: HttpRequest, worker: Worker, order: Order, reason: str = "") -> list[Worker]:
    """Tell the worker, with an entry in the audit; the processes that this changed: none if it was so before.

    Raises WorkerOrderRefused if it is gone or too old to know that.
    """
    with writing(Worker.objects.db):
        changed = order.apply(worker)
        if changed:
            with in_english():
                text = f"{order.label}: {counted(len(changed), 'process', 'processes')} on {worker.hostname}"
            log_change(request, worker, because(text, reason))
    return changed
