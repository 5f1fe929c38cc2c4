"""The background threads of an executor: heartbeat, rescue, reconcile."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from django.db import connections
from django.db.models.functions import Now

from jobqueue import plain_rq
from jobqueue.broker import set_aside, strange_keys
from jobqueue.broker.connections import clients
from jobqueue.broker.sockets import readable
from jobqueue.conf import get_settings
from jobqueue.counts import triggers
from jobqueue.delivery import rescue
from jobqueue.delivery.watch import Watch
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Worker
from jobqueue.registry import all_reconcilers
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases
from jobqueue.sql.writing import writing
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.memory import memory_in_use
from jobqueue.worker.neighbours import Neighbours

logger = logging.getLogger(__name__)


class WakePipe:
    """A pipe that interrupts waits: `wake` may be called by any thread, and by a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """The end to wait on."""
        return self._read

    def wake(self) -> None:
        """Let the wait that is under way, or the next one, return at once."""
        with suppress(BlockingIOError):
            os.write(self._write, b"x")

    def wait(self, timeout: float) -> None:
        """Return at the latest after `timeout` seconds."""
        if readable([self._read], timeout):
            self.clear()

    def clear(self) -> None:
        """Forget the calls of `wake` so far."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)


class Loop(threading.Thread):
    """Calls `body` again and again until stopped; `body` returns the seconds until its next call.

    An outage or an error is logged, once until it is over, and the loop goes on.
    """

    def __init__(
        self,
        name: str,
        body: Callable[[], float],
        *,
        pause_after_error: float = 1.0,
        wait: Callable[[float], object] | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        """`wait` takes the place of a plain wait of so many seconds; then `wake` interrupts it."""
        super().__init__(name=name, daemon=True)
        self._body = body
        self._pause_after_error = pause_after_error
        event = threading.Event()
        self._wait, self._wake = wait or event.wait, wake or event.set
        self._stopping = False
        self._failing = False

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stopping = True
        self._wake()

    def run(self) -> None:
        """Thread body."""
        while not self._stopping:
            self._pause(self._call())
        connections.close_all()

    def _pause(self, seconds: float) -> None:
        try:
            self._wait(seconds)
        except Exception as error:
            self._report(error)
            time.sleep(min(seconds, self._pause_after_error))

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


def heartbeat(
    worker: Worker,
    written: Callable[[], None] = lambda: None,
    absent: set[str] | None = None,
    threads: DatabaseThreads = IN_TURN,
) -> Callable[[], float]:
    """Writes the worker's sign of life, in every database whose jobs it serves; calls `written` after each.

    Of `absent`, the databases that have no row of it yet, those go that have one now.
    """

    def beat(using: str) -> None:
        row = Worker.objects.using(using).filter(pk=worker.pk)
        changed = row.update(heartbeat_at=Now(), memory=memory_in_use() or None)
        if not changed:
            register(worker, using)
        if absent:
            absent.discard(using)
        written()

    def body() -> float:
        threads.each(beat)
        return get_settings().heartbeat_interval

    return body


def register(worker: Worker, using: str) -> None:
    """Write the worker's row in one database."""
    with writing(using):
        Worker.objects.using(using).update_or_create(
            pk=worker.pk,
            defaults={
                "name": worker.name,
                "hostname": worker.hostname,
                "pid": worker.pid,
                "queues": worker.queues,
                "threads": worker.threads,
                "takes_orders": worker.takes_orders,
                "supervisor_pid": worker.supervisor_pid,
                "quiet_asked_at": worker.quiet_asked_at,
                "stopping": worker.stopping,
                "version": worker.version,
                "memory": memory_in_use() or None,
                "heartbeat_at": Now(),
            },
        )


def register_where_possible(worker: Worker, absent: set[str], threads: DatabaseThreads = IN_TURN) -> None:
    """Write the worker's row in every database; `absent` gets those without an answer. Raises if all fail."""
    wanted = databases()
    absent.update(wanted)
    failed: dict[str, Exception] = {}

    def register_in(using: str) -> None:
        try:
            register(worker, using)
            absent.discard(using)
        except OUTAGES as error:
            failed[using] = error
            close_broken_connections()

    threads.each(register_in)
    for using, error in failed.items():
        if len(failed) == len(wanted):
            raise error
        logger.warning("beginning without the database %r: %s: %s", using, type(error).__name__, error)


def rescuer(threads: DatabaseThreads = IN_TURN) -> Callable[[], float]:
    """Brings back the jobs of silent workers, and keeps the counts of jobs short. Asks no Redis.

    A Redis that hangs would have the databases looked into too seldom for anybody to be judged gone.
    """
    watches: dict[str, Watch] = {}

    def look_into(using: str) -> None:
        gone = watches.setdefault(using, Watch(using)).gone()
        rescue.rescue_lost(using, gone)
        triggers.compact(using)

    def body() -> float:
        threads.each(look_into)
        return get_settings().heartbeat_interval

    return body


def upkeep(
    queues: Sequence[str] = (), neighbours: Neighbours | None = None, threads: DatabaseThreads = IN_TURN
) -> Callable[[], float]:
    """Looks over the keys in Redis, also after what waits in these queues for a scheduler of RQ's, after
    foreign jobs, and for the workers of another installation.
    """

    def adopt(step: Callable[[], object]) -> Callable[[], object]:
        return lambda: threads.each(lambda _using: step(), [plain_rq.database()])

    steps: list[Callable[[], object]] = [
        lambda: rescue.sweep(get_settings().heartbeat_interval, threads.each),
        adopt(lambda: plain_rq.look_after_strays(queues)),
        adopt(plain_rq.look_after_due),
        *([neighbours.look] if neighbours is not None else []),
        strange_keys.look_over,
        set_aside.forget_gone,
    ]

    def body() -> float:
        # The only Redis is waited for once, if it hangs; one of several keeps no other from its share.
        _take_each(steps, ends_with=BrokerUnavailable if len(clients("work")) < 2 else ())
        return get_settings().heartbeat_interval

    return body


def _take_each(steps: Iterable[Callable[[], object]], *, ends_with: type[Exception] | tuple[()] = ()) -> None:
    """Take these steps: one that fails keeps none of the others back, unless it `ends_with` that error.

    Raises the first error.
    """
    first: Exception | None = None
    for step in steps:
        try:
            step()
        except Exception as error:
            close_broken_connections()
            if first is not None and not isinstance(error, OUTAGES):
                logger.exception("another step failed too")
            first = first or error
            if isinstance(error, ends_with):
                break
    if first is not None:
        raise first


def reconcile() -> Callable[[], float]:
    """Runs the registered reconcilers, quickly and often; one that fails does not keep the others from it."""

    def body() -> float:
        _take_each(partial(_reconcile, name, function) for name, function in all_reconcilers().items())
        # Workers that started together spread out.
        return get_settings().reconcile_interval * random.uniform(0.8, 1.2)

    return body


def _reconcile(name: str, function: Callable[..., dict[str, int]]) -> None:
    mended = {kind: count for kind, count in function(full=False).items() if count}
    if mended:
        logger.info("reconciler %s mended %s", name, mended)
