"""What people ask of a running executor, by its row and its jobs': to stop a job, to be quiet, to end.

It looks every second, by an index that has next to no rows, and at once when its bell in Redis rings. No job
pays for that: neither its claim nor its end asks anything more.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime

from jobqueue.broker import bell
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Worker, stopping
from jobqueue.worker.board import Slot
from jobqueue.worker.database_threads import IN_TURN
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.loops import WakePipe
from jobqueue.worker.options import Options
from jobqueue.worker.stop import Stop
from jobqueue.worker.time_limit import TimeLimits

logger = logging.getLogger(__name__)

_LOOK_EVERY = 1.0


class Orders:
    """Looks for what is asked of one executor, and has it done."""

    def __init__(
        self,
        worker: Worker,
        options: Options,
        slot: Slot,
        limits: TimeLimits,
        decisions: QueueDecisions,
        stop: Stop,
    ) -> None:
        """`worker` is the executor's row, not written yet: one in the place of a quiet one is quiet too."""
        self._worker, self._options, self._slot = worker, options, slot
        self._limits, self._decisions, self._stop = limits, decisions, stop
        self.threads = IN_TURN
        """They look for jobs that are to stop, each in one database."""
        self._is_stopping = False
        self._bell: bell.Bell | None = None
        self._wake = WakePipe()
        if slot.is_quiet:
            self._be_quiet(datetime.now(UTC))

    def look(self) -> float:
        """Look once. Returns the seconds until the next look, if nobody rings before."""
        if self._stop.is_asked and not self._worker.stopping:
            self._tell_of_the_stop()
        self.threads.each(self._look_for_jobs)
        asked = Worker.objects.filter(pk=self._worker.pk).values_list("quiet_asked_at", "stop_asked_at")
        for quiet_since, stop_asked_at in asked:
            if (quiet_since is None) != (self._worker.quiet_asked_at is None):
                self._be_quiet(quiet_since)
            if stop_asked_at is not None and not self._is_stopping:
                self._is_stopping = True
                self._stop_worker()
        return _LOOK_EVERY

    def _tell_of_the_stop(self) -> None:
        """Whoever asked for it, a signal too: what claims no more is no worker that jobs may wait for."""
        self.threads.each(
            lambda using: Worker.objects.using(using).filter(pk=self._worker.pk).update(stopping=True)
        )
        self._worker.stopping = True

    def _look_for_jobs(self, using: str) -> None:
        found = stopping.of_worker(self._worker.pk, using)
        if found:
            self._limits.stop({(using, job.job_id, job.attempt): job.reason for job in found})

    def _be_quiet(self, since: datetime | None) -> None:
        self._worker.quiet_asked_at = since
        self._slot.quiet(since is not None)
        self._decisions.be_quiet(self._options.queues if since else ())
        self._stop.wake.wake()

    def _stop_worker(self) -> None:
        """As a SIGTERM for the whole worker."""
        logger.info("stopping: an operator asked for it")
        if self._options.has_supervisor():
            assert self._options.supervisor is not None
            os.kill(self._options.supervisor, signal.SIGTERM)
        else:
            self._stop.ask(signal.SIGTERM, None)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the bell rings."""
        with suppress(BrokerUnavailable):
            if self._bell is None:
                self._bell = bell.orders_bell(self._worker.pk.hex)
            self._bell.wait(seconds, self._wake.fileno())
            return
        self._wake.wait(seconds)

    def wake(self) -> None:
        """End the wait that is under way."""
        self._wake.wake()
