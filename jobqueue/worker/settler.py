"""The thread of an executor that writes the outcomes of one database down, many at a time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from django.db import connections

from jobqueue.delivery import failures
from jobqueue.exceptions import JobQueueError
from jobqueue.models.cause_names import cause_of_text
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.databases import close_broken_connections
from jobqueue.worker import forks, settling
from jobqueue.worker.claiming import Identity
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.pauses import GrowingPauses
from jobqueue.worker.telling import Teller

logger = logging.getLogger(__name__)
_SETTLE_AT_ONCE = 128
# While other jobs run, outcomes wait this long for company; a lone one is settled at once.
_SETTLE_WITHIN = 0.004
# While the database is away the pauses between two tries grow from one to the other.
_PAUSE_AFTER_ERROR = 0.5
_LONGEST_PAUSE = 4.0
_LAST_PAUSES = 0.1
_REFUSED = "its outcome"


class Settler:
    """Settles outcomes in batches: what is there together, a lone one at once."""

    def __init__(
        self,
        identity: Identity,
        teller: Teller,
        *,
        others_run: Callable[[], bool],
        settled: Callable[[list[Outcome], list[Outcome]], None],
        guard: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        """`others_run`: are more outcomes to come soon? `settled` gets a batch and what of it counted."""
        self._identity, self._teller = identity, teller
        self._others_run, self._settled = others_run, settled
        self._outcomes: deque[Outcome] = deque()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ends = threading.Event()
        self._is_idle = self._is_gathering = self._stopping = False
        self._thread = threading.Thread(target=guard(self._run), name="settler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, outcome: Outcome) -> None:
        """Have this outcome settled."""
        self._outcomes.append(outcome)
        # Waking the settler for each of them would cost more than settling them does.
        if self._is_idle or (self._is_gathering and self._is_batch()):
            self._is_idle = self._is_gathering = False
            self._wake.put(None)

    def end_soon(self) -> None:
        """Settle what is there and end."""
        self._stopping = True
        self._ends.set()
        self._wake.put(None)

    def join(self, timeout: float) -> None:
        """Return when it has ended, at the latest after so many seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        """Body of the settler thread."""
        while not self._stopping or self._outcomes:
            self._settle_until_written(self._next_batch())
            forks.end_if_fork()  # by a listener
        connections.close_all()

    def _next_batch(self) -> list[Outcome]:
        outcomes = self._outcomes
        # Each flag is set before the question that it is about, so no outcome can come unnoticed in between.
        self._is_idle = True
        while not outcomes and not self._stopping:
            self._wake.get()
            self._is_idle = True
        self._is_idle, self._is_gathering = False, True
        deadline = time.monotonic() + _SETTLE_WITHIN
        while not self._is_batch() and (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                self._wake.get(timeout=left)
            self._is_gathering = True
        self._is_gathering = False
        return [outcomes.popleft() for _ in range(min(len(outcomes), 2 * _SETTLE_AT_ONCE))]

    def _is_batch(self) -> bool:
        """Whether it is no use to wait for more: there are many, or no other job runs that could add one."""
        return len(self._outcomes) >= _SETTLE_AT_ONCE or self._stopping or not self._others_run()

    def _settle_until_written(self, outcomes: list[Outcome]) -> None:
        pauses = GrowingPauses(_PAUSE_AFTER_ERROR, _LONGEST_PAUSE)
        while outcomes:
            try:
                counted = self._settle(outcomes)
            except Exception as error:
                outcomes = self._without_settled(outcomes)
                if not outcomes:
                    logger.error("jobs are settled, and nobody was told of it: %s", type(error).__name__)
                    return
                if may_be_of_a_row(error):
                    # No outage: one of them is refused, which must not hold up the others.
                    self._settle_one_by_one(outcomes, error)
                    return
                # The jobs stay ours as long as the heartbeat can be written; without it they are rescued.
                logger.warning(
                    "cannot settle %d jobs for now: %s: %s", len(outcomes), type(error).__name__, error
                )
                close_broken_connections()
                self._pause(pauses.after_failure())
            else:
                self._settled(outcomes, counted)
                return

    def _without_settled(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Those that are to be settled still; of the others a second try would find no claim."""
        settled = [outcome for outcome in outcomes if outcome.is_settled]
        if settled:
            self._settled(settled, settled)
        return [outcome for outcome in outcomes if not outcome.is_settled]

    def _pause(self, seconds: float) -> None:
        """A stop does not wait for the end of a long pause, and there may be a last moment to write."""
        if self._ends.wait(seconds):
            time.sleep(min(seconds, _LAST_PAUSES))

    def _settle_one_by_one(self, outcomes: list[Outcome], error: Exception) -> None:
        if len(outcomes) > 1:
            for outcome in outcomes:
                self._settle_until_written([outcome])
        elif _is_refused_already(outcomes[0]):
            self._set_aside(outcomes[0], error)
        else:
            self._settle_until_written([_refused(outcomes[0], error)])

    def _set_aside(self, outcome: Outcome, error: Exception) -> None:
        """Its row takes no outcome at all: it is set aside, or comes again when the others are written."""
        if settling.set_aside(outcome, self._identity, error):
            outcome.is_settled = True
            self._teller.tell_soon(settling.news_of(settling.Settled([outcome], []), self._identity))
            self._settled([outcome], [])
        else:
            time.sleep(_PAUSE_AFTER_ERROR)
            self._outcomes.append(outcome)

    def _settle(self, outcomes: list[Outcome]) -> list[Outcome]:
        return settling.settle_and_tell(outcomes, self._identity, self._teller)


def _refused(outcome: Outcome, error: Exception) -> Outcome:
    """What is written instead of an outcome that the database refuses: failed, and nothing else."""
    # Not its text: the database may quote the row.
    text = f"its outcome was refused by the database: {type(error).__name__}"
    failures.log_end(outcome.job, text, JobQueueError(text))
    reason = f"{_REFUSED} ({outcome.status}) was refused by the database: {error}"
    return replace(
        outcome,
        status=OutcomeStatus.FAILED,
        reason=reason,
        delay=None,
        failure=None,
        cause=cause_of_text(text),
    )


def _is_refused_already(outcome: Outcome) -> bool:
    """Whether it is what is written instead of an outcome that was refused."""
    return outcome.failure is None and outcome.reason.startswith(_REFUSED)
