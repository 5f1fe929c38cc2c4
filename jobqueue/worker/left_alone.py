"""Messages of databases that do not answer: dropped, so that they stand in no other's way, and not forgotten.

Put back at the front of their queue they would come first again and again, and behind as many as one claim
takes the jobs of all other databases would wait. The row of a dropped message still waits: once its database
answers it is left to the relay. Of a worker that ends meanwhile the search for lost messages finds them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from django.db import connections

from jobqueue.broker.message import Message
from jobqueue.delivery import outbox
from jobqueue.sql.databases import OUTAGES, close_broken_connections
from jobqueue.worker.database_threads import DatabaseThreads, Step
from jobqueue.worker.pauses import GrowingPauses
from jobqueue.worker.telling import News, Teller

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0
# Of so many messages of one database it is remembered that they were dropped; the others are lost and found.
_MOST_REMEMBERED = 10_000


class LeftAlone:
    """What the thread that claims leaves alone of several databases: one that failed, for a growing pause."""

    def __init__(self, worker_id: str, teller: Teller, threads: DatabaseThreads) -> None:
        """`threads` are of who claims."""
        self._worker_id, self._teller = worker_id, teller
        self.threads = threads
        self._dropped: dict[str, dict[tuple[int, int], None]] = {}
        self._until: dict[str, float] = {}
        self._pauses: dict[str, GrowingPauses] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no message is dropped."""
        return not self._dropped

    def each(self, ask: Step, by_database: Mapping[str, Sequence[Message]]) -> None:
        """Ask the databases of these messages, but for those that are to be left alone now.

        An answer that comes too late goes to nobody, and so does an error.
        """
        asked = []
        for using, messages in by_database.items():
            if using not in connections:
                ask(using)
            elif self._is_left_alone(using):
                self.drop(messages, using)
            else:
                asked.append(using)
        try:
            if asked:
                self.threads.each(ask, asked)
        except Exception as error:
            logger.warning("a database failed: %s: %s", type(error).__name__, error)

    def note_failure(self, using: str, messages: Sequence[Message]) -> None:
        """It has just failed, and these messages had no answer."""
        self.drop(messages, using)
        self._pause(using)

    def drop(self, messages: Sequence[Message], using: str) -> None:
        """Have Redis forget messages that were taken, until their database answers."""
        self._teller.tell(News([(message, False) for message in messages], self._worker_id))
        dropped = self._dropped.setdefault(using, {})
        for message in messages[: max(0, _MOST_REMEMBERED - len(dropped))]:
            dropped[message.job_id, message.attempt] = None

    def look_again(self) -> bool:
        """Leave to the relay what was dropped of databases that may answer again.

        Returns whether something ended by now that nobody waited for any longer, which may have been a claim.
        """
        due = [using for using in list(self._dropped) if not self._is_left_alone(using)]
        if due:
            self.threads.each(self._leave_to_the_relay, due)
        return self.threads.has_been_late()

    def _is_left_alone(self, using: str) -> bool:
        return self.threads.is_under_way(using) or time.monotonic() < self._until.get(using, 0.0)

    def _pause(self, using: str) -> None:
        pauses = self._pauses.setdefault(using, GrowingPauses(_FIRST_PAUSE, _LONGEST_PAUSE))
        self._until[using] = time.monotonic() + pauses.after_failure()

    def _leave_to_the_relay(self, using: str) -> None:
        # Others may be dropped while this one waits for the database.
        dropped = self._dropped.pop(using)
        try:
            count = outbox.unpublish(list(dropped), using)
        except OUTAGES as error:
            logger.debug("the database %r does not answer yet: %s", using, error)
            self._dropped.setdefault(using, {}).update(dropped)
            self._pause(using)
            close_broken_connections()
            return
        self._until.pop(using, None)
        self._pauses.pop(using, None)
        if count:
            logger.info("the database %r answers again; the relay publishes %d jobs", using, count)
