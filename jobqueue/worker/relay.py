"""The relay of an executor: publishes each waiting job when its time has come, and what Redis lost.

All relays publish what is overdue. One of them leads: it also looks ahead, holds the jobs of the next
moment in memory, and publishes each at its time. What it holds is in the database as well, so nothing is
lost with it; a relay that takes over publishes again, which is harmless.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress

from jobqueue.broker import bell, lead, queues
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery import outbox
from jobqueue.delivery.lost import LostMessages
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.sql.clock import DatabaseClock, StepBack
from jobqueue.worker.database_threads import IN_TURN
from jobqueue.worker.loops import WakePipe
from jobqueue.worker.telling import Teller

logger = logging.getLogger(__name__)

_LEASE = 3.0
# The leader looks once an interval, and this much further than the next look.
_LOOK_AHEAD = 1.5
# For so long after its publication a job is left alone: it is being claimed.
_CLAIMED_WITHIN = 0.5
# Relays that do not lead leave so many seconds to the one that does.
_GRACE = 2.0


class Relay:
    """Publishes what is due; `look` says how long to wait for the next look, `wait` waits that long."""

    def __init__(self, candidate: str, teller: Teller) -> None:
        """`candidate` is the id under which this relay may lead, `teller` knows what Redis missed."""
        self._candidate, self._teller = candidate, teller
        self.threads = IN_TURN
        """They look into the databases. While one does, nobody else touches what is known of its database."""
        self._is_leading = False
        self._wake = WakePipe()
        self._bell: bell.Bell | None = None
        self._is_rung = True
        self._last_turn = self._next_look = 0.0
        self._next_walk = 0.0
        self._clocks: dict[str, DatabaseClock] = {}
        self._lost: dict[str, LostMessages] = {}
        # By database: the jobs of the next moment and when each is due, the next one first.
        self._upcoming: dict[str, deque[tuple[float, Message]]] = {}
        self._published: dict[str, dict[int, float]] = {}
        # What kept this look from publishing what was held, in some Redis.
        self._trouble: BrokerUnavailable | None = None

    # Life -----------------------------------------------------------------------------------------

    def look(self) -> float:
        """Publish what is due now. Returns the seconds until there is something to do.

        Raises BrokerUnavailable if a Redis did not answer, after all that could be published was.
        """
        self._trouble = None
        now = time.monotonic()
        if now - self._last_turn > _LEASE:
            # This process slept; what it holds was published by another.
            self._upcoming.clear()
        self._last_turn = now
        for using in self._quiet():
            self._publish_upcoming(using)
        if self._is_rung or now >= self._next_look:
            self._is_rung = False
            # Before the work: if it fails, the next look comes after the loop's pause.
            self._next_look = now + get_settings().relay_interval
            self._look_into_databases()
        if self._trouble is not None:
            raise self._trouble
        first = [upcoming[0][0] for using in self._quiet() if (upcoming := self._upcoming[using])]
        return max(0.0, min([self._next_look, *first]) - time.monotonic())

    def wait(self, seconds: float) -> None:
        """Wait so long, or until there is a reason to look earlier."""
        if self._is_leading:
            with suppress(BrokerUnavailable):
                if self._bell is None:
                    self._bell = bell.relay_bell()
                self._is_rung |= self._bell.wait(seconds, self._wake.fileno())
                self._wake.clear()
                return
        elif self._bell is not None:
            self._bell.leave()
        self._wake.wait(seconds)

    def wake(self) -> None:
        """End the wait that is under way."""
        self._wake.wake()

    def have_leader_look(self) -> None:
        """There is a job with a near time: whoever leads shall know of it now."""
        if self._is_leading:
            self._is_rung = True
            self._wake.wake()
            return
        with suppress(BrokerUnavailable):
            bell.ring_relay()

    def give_up_the_lead(self) -> None:
        """Let another relay lead at once."""
        if self._is_leading:
            with suppress(BrokerUnavailable):
                lead.give_up(self._candidate)

    # Steps ----------------------------------------------------------------------------------------

    def _look_into_databases(self) -> None:
        settings = get_settings()
        self._is_leading = lead.take(self._candidate, _LEASE)
        walks = time.monotonic() >= self._next_walk

        def look_into(using: str) -> None:
            if self._is_leading:
                self._look_ahead(using)
            else:
                self._upcoming.pop(using, None)
            if self._publish_due(using) == settings.relay_batch:
                self._next_look = 0.0
            if walks:
                self._lost.setdefault(using, LostMessages(using)).publish_again()

        self.threads.each(look_into)
        if walks:
            self._next_walk = time.monotonic() + settings.relay_interval
            self._teller.tell_untold()

    def _quiet(self) -> list[str]:
        """The databases of which something is held, but for those that are looked into, or hang."""
        return [using for using in list(self._upcoming) if not self.threads.is_under_way(using)]

    def _publish_due(self, using: str) -> int:
        if not self._is_leading:
            return outbox.publish_due(using, overdue_by=_GRACE)
        since = time.monotonic() - _CLAIMED_WITHIN
        published = self._published.get(using, {})
        self._published[using] = {pk: moment for pk, moment in published.items() if moment > since}
        return outbox.publish_due(using, except_for=tuple(self._published[using]))

    def _look_ahead(self, using: str) -> None:
        clock = self._clocks.setdefault(using, DatabaseClock(using))
        step = clock.ask()
        if step is not None:
            self._stay_due(using, step)
        outbox.set_aside_never_due(using)
        rows = outbox.upcoming(using, _LOOK_AHEAD * max(1.0, get_settings().relay_interval))
        # What became due while the database was asked is in neither answer.
        self._publish_upcoming(using)
        self._upcoming[using] = deque(
            (clock.monotonic(moment.timestamp()), message) for moment, message in rows
        )

    def _stay_due(self, using: str, step: StepBack) -> None:
        """What was due before the database's clock stepped back does not wait until it is there again."""
        count = outbox.bring_forward(using, step.would_show)
        self._lost.setdefault(using, LostMessages(using)).clock_stepped_back(step.seconds)
        logger.warning(
            "the clock of the database %r stepped back by %.1f s; %d jobs stay due",
            using,
            step.seconds,
            count,
        )

    def _publish_upcoming(self, using: str) -> None:
        now = time.monotonic()
        upcoming = self._upcoming.get(using, deque())
        due = []
        while upcoming and upcoming[0][0] <= now:
            due.append(upcoming.popleft()[1])
        if not due:
            return
        try:
            queues.publish(due, only_new=True)
        except BrokerUnavailable as error:
            # They are overdue from now on. Another Redis may answer, so the look goes on.
            self._trouble = self._trouble or error
        else:
            self._published.setdefault(using, {}).update((message.job_id, now) for message in due)
