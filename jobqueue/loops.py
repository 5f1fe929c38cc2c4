"""The background threads of an executor: heartbeat, relay, rescue, reconcile, time limits."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models.functions import Now

from jobqueue import execution, outbox, rescue
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Worker
from jobqueue.registry import all_reconcilers

logger = logging.getLogger("jobqueue.loops")

_SHORTEST_PAUSE = 0.02
OUTAGES = (BrokerUnavailable, DatabaseError, InterfaceError)


class Loop(threading.Thread):
    """Calls `body` again and again until stopped; `body` returns the seconds until its next call.

    An outage or an error is logged, once until it is over, and the loop goes on.
    """

    def __init__(self, name: str, body: Callable[[], float], *, pause_after_error: float = 1.0) -> None:
        super().__init__(name=name, daemon=True)
        self._body = body
        self._pause_after_error = pause_after_error
        self._wake = threading.Event()
        self._stopping = False
        self._failing = False

    def wake(self) -> None:
        """Make the next call come now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Thread body."""
        while not self._stopping:
            pause = self._call()
            self._wake.wait(pause)
            self._wake.clear()
        connections.close_all()

    def _call(self) -> float:
        try:
            pause = self._body()
        except Exception as error:
            self._report(error)
            close_broken_connections()
            return self._pause_after_error
        if self._failing:
            logger.info("%s works again", self.name)
        self._failing = False
        return pause

    def _report(self, error: Exception) -> None:
        if isinstance(error, OUTAGES):
            if not self._failing:
                logger.warning("%s cannot work for now: %s: %s", self.name, type(error).__name__, error)
        else:
            logger.exception("%s failed", self.name)
        self._failing = True


def close_broken_connections() -> None:
    """Drop this thread's database connections that failed, so that the next use opens new ones."""
    for connection in connections.all(initialized_only=True):
        is_open = connection.connection is not None
        if is_open and (connection.errors_occurred or not connection.is_usable()):
            connection.close()


def heartbeat(worker: Worker) -> Callable[[], float]:
    """Writes the worker's sign of life, in every database whose jobs it serves."""

    def body() -> float:
        for alias in outbox.databases():
            changed = Worker.objects.using(alias).filter(pk=worker.pk).update(heartbeat_at=Now())
            if not changed:
                register(worker, alias)
        return get_settings().heartbeat_interval

    return body


def register(worker: Worker, alias: str) -> None:
    """Write the worker's row in one database."""
    with transaction.atomic(using=alias):
        Worker.objects.using(alias).update_or_create(
            pk=worker.pk,
            defaults={
                "name": worker.name,
                "hostname": worker.hostname,
                "pid": worker.pid,
                "queues": worker.queues,
                "threads": worker.threads,
                "heartbeat_at": Now(),
                "forgotten": False,
            },
        )


def relay() -> Callable[[], float]:
    """Publishes what is due and what Redis lost, and tells it what it missed; sleeps until a job is due."""
    lost: dict[str, outbox.LostMessages] = {}

    def body() -> float:
        settings = get_settings()
        pause = settings.relay_interval
        for alias in outbox.databases():
            if outbox.publish_due(alias) == settings.relay_batch:
                pause = 0.0
            lost.setdefault(alias, outbox.LostMessages(alias)).publish_again()
            next_due = outbox.next_due_in(alias)
            if next_due is not None:
                # A due row may be locked by somebody who changes it: no reason to ask without a pause.
                pause = min(pause, max(_SHORTEST_PAUSE, next_due / timedelta(seconds=1)))
        execution.tell_redis()
        return pause

    return body


def rescuer() -> Callable[[], float]:
    """Brings back the jobs of silent workers."""

    def body() -> float:
        for alias in outbox.databases():
            rescue.rescue_lost(alias)
        return get_settings().heartbeat_interval

    return body


def reconcile() -> Callable[[], float]:
    """Runs the registered reconcilers, quickly and often."""

    def body() -> float:
        for name, function in all_reconcilers().items():
            mended = {kind: count for kind, count in function(full=False).items() if count}
            if mended:
                logger.info("reconciler %s mended %s", name, mended)
        # Workers that started together spread out.
        return get_settings().reconcile_interval * random.uniform(0.8, 1.2)

    return body
