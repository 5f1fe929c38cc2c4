"""What an executor holds, compares with the rows and hands back."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence

from jobqueue.broker import queues, server
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery import outbox
from jobqueue.delivery.publishable import message_of
from jobqueue.delivery.rescue import end_stopped
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, jobs_in, transitions
from jobqueue.models.transitions import HANDED_BACK
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.databases import OUTAGES, close_broken_connections, databases
from jobqueue.worker.claiming import Claim
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.outcomes import Outcome

logger = logging.getLogger(__name__)

WORKER_STOPPED = f"{HANDED_BACK}its worker stopped"
BESIDE_A_STUCK_JOB = f"{HANDED_BACK}its process was ended for another job, which could not be stopped"
_CLAIM_UNHEARD = f"{HANDED_BACK}its worker did not hear of its claim"
_MOMENT = 0.1


class InHand:
    """The claims of one executor that are not settled yet. Safe for several threads."""

    def __init__(
        self, worker_id: uuid.UUID, running: Callable[[int], None], threads: DatabaseThreads = IN_TURN
    ) -> None:
        """`running` is told how many claims there are, whenever that changes; `threads` are of who claims."""
        self._worker_id, self._running, self._threads = worker_id, running, threads
        self._claims: dict[tuple[str, int, int], Claim] = {}
        self._changed = threading.Condition()
        self._next_comparison = 0.0
        self.taken = 0
        """How many claims were ever taken, without those that were given back."""
        self.last_work = time.monotonic()
        """When a claim was last taken or settled."""

    @property
    def is_empty(self) -> bool:
        """Whether every claim is settled or handed back."""
        with self._changed:
            return not self._claims

    @property
    def claims(self) -> list[Claim]:
        """What is not settled now."""
        with self._changed:
            return list(self._claims.values())

    def take(self, claims: Sequence[Claim]) -> None:
        """These are to be run and settled."""
        self.taken += len(claims)
        self.last_work = time.monotonic()
        with self._changed:
            for claimed in claims:
                self._claims[claimed.key] = claimed
            self._running(len(self._claims))

    def note_settled(self, outcomes: Sequence[Outcome]) -> None:
        """These have ended."""
        self._let_go((outcome.using, outcome.job.pk, outcome.job.attempt) for outcome in outcomes)
        self.last_work = time.monotonic()

    def give_back(self, unstarted: Sequence[Claim], reason: str) -> None:
        """Let others run these, which no thread has begun."""
        if not unstarted:
            return
        self.taken -= len(unstarted)
        # First let go: should it fail now, they are strays, which are handed back later.
        self._let_go(claimed.key for claimed in unstarted)
        self.hand_back(unstarted, reason)

    def compare(self, *, at_once: bool = False) -> None:
        """Hand back what is ours by its row and runs nowhere: the answer to its claim was lost on the way.

        At most once in `HEARTBEAT_INTERVAL`, or `at_once`. To be called between two claims, when every job
        that was claimed in order is among these.
        """
        if time.monotonic() < self._next_comparison and not at_once:
            return
        self._next_comparison = time.monotonic() + get_settings().heartbeat_interval
        with self._changed:
            known = set(self._claims)
        errors: list[Exception] = []

        def compare(using: str) -> None:
            if (error := self._compare(using, known)) is not None:
                errors.append(error)

        self._threads.each(compare)
        # One database that is away does not keep the jobs of others from being claimed.
        if errors and len(errors) == len(databases()):
            raise errors[0]

    def _compare(self, using: str, known: set[tuple[str, int, int]]) -> Exception | None:
        try:
            rows = Job.objects.using(using).held_by(self._worker_id)
            strays = [claimed for job in rows if (claimed := Claim(job, using)).key not in known]
            if strays:
                logger.info("handing %d jobs back that nobody heard of", len(strays))
                hand_back(strays, self._worker_id, _CLAIM_UNHEARD)
        except OUTAGES as error:
            close_broken_connections()
            return error
        return None

    def compare_soon(self) -> None:
        """Have the next call of `compare` do so: a claim failed, perhaps after its commit."""
        self._next_comparison = 0.0

    def wait_until_settled(self, gives_up: Callable[[], bool]) -> None:
        """Return once every claim is settled, or shortly after `gives_up()` is true."""
        with self._changed:
            while self._claims and not gives_up():
                self._changed.wait(0.2)

    def wait_for_room(self, most: int) -> int:
        """How many claims may be added until there are `most`; 0 after a moment without room."""
        with self._changed:
            if len(self._claims) >= most:
                self._changed.wait(_MOMENT)
            return max(0, most - len(self._claims))

    def hand_back(self, claims: Sequence[Claim], reason: str = WORKER_STOPPED) -> None:
        """Put these back on the road."""
        logger.info("handing %d jobs back", len(claims))
        hand_back_in_each(claims, self._worker_id, self._threads, reason)

    def _let_go(self, keys: Iterable[tuple[str, int, int]]) -> None:
        with self._changed:
            for key in keys:
                self._claims.pop(key, None)
            self._running(len(self._claims))
            self._changed.notify_all()


def hand_back_in_each(
    claims: Sequence[Claim], worker_id: uuid.UUID, threads: DatabaseThreads, reason: str = WORKER_STOPPED
) -> None:
    """Put jobs of this worker back on the road, but for those of databases that hang."""
    by_database: dict[str, list[Claim]] = {}
    for claimed in claims:
        by_database.setdefault(claimed.using, []).append(claimed)
    threads.each(lambda using: hand_back(by_database[using], worker_id, reason), by_database)


def hand_back(claims: Sequence[Claim], worker_id: uuid.UUID, reason: str = WORKER_STOPPED) -> int:
    """Put jobs of this worker back on the road without using up an attempt. Returns how many."""
    messages: list[Message] = []
    for job, using in claims:
        if _hand_back(job, using, worker_id, reason):
            messages.append(message_of(job, using))
    if not messages:
        return 0
    try:
        # A Redis that hangs must not hold up the shutdown; the relay of any worker does the rest.
        server.ping()
        queues.finish([(message, False) for message in messages], worker_id.hex)
        for using in {claimed.using for claimed in claims}:
            outbox.publish_due(using)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d jobs handed back: %s", len(messages), error)
    return len(messages)


def _hand_back(job: Job, using: str, worker_id: uuid.UUID, reason: str) -> int:
    try:
        handed_back = transitions.hand_back(jobs_in(using), job, worker_id, reason=reason)
        return handed_back or end_stopped(job, worker_id, using)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        # The others are handed back all the same.
        logger.warning("the rescue will bring job %d back: %s", job.pk, type(error).__name__)
        return 0
