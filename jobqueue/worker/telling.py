"""Tells Redis what the rows say already; what it does not take now waits in memory."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobqueue import plain_rq
from jobqueue.broker import queues
from jobqueue.broker.chart import Record
from jobqueue.broker.message import Message
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.plain_rq import Report

logger = logging.getLogger(__name__)

# After hours without Redis the oldest counts are given up.
_MOST_UNTOLD = 10_000


@dataclass(frozen=True, slots=True)
class News:
    """What Redis is to be told about one batch of messages that a worker held."""

    messages: Sequence[tuple[Message, bool]]
    """True: RQ's tools shall see it as finished; the others are forgotten."""
    worker_id: str
    counters: Mapping[str, float] = field(default_factory=dict)
    """By how much each counter goes up."""
    reports: Sequence[Report] = ()
    """On adopted jobs that ended."""
    chart: Sequence[Record] = ()
    """What ended, for the chart."""
    batch_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """So that a batch counts once, however often it is told."""


class Teller:
    """Tells Redis its news in their order, and keeps what it does not take until it does.

    The rows are right already; only RQ's registries and the counters wait. Safe for several threads.
    """

    def __init__(self) -> None:
        self._untold: deque[News] = deque(maxlen=_MOST_UNTOLD)
        self._telling = threading.Lock()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, guard: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """From now on `tell_soon` leaves the telling to a thread; `guard` wraps its body."""
        self._thread = threading.Thread(target=guard(self._run), name="teller", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Have the thread tell what is left and end, within `timeout` seconds as far as Redis answers."""
        if self._thread is not None:
            self._wake.put(False)
            self._thread.join(timeout)

    def tell(self, news: News) -> None:
        """Tell Redis this, and what it missed before, unless it does not answer."""
        self._untold.append(news)
        self.tell_untold()

    def tell_soon(self, news: News) -> None:
        """Have the thread tell it, so that a Redis that hangs holds up no row. Without one, `tell` it."""
        self._untold.append(news)
        if self._thread is None or not self._thread.is_alive():
            self.tell_untold()
        elif self._wake.empty():
            self._wake.put(True)

    def tell_untold(self) -> bool:
        """Tell what Redis does not know yet, the oldest first; False if some must wait until it is back."""
        with self._telling:
            while self._untold:
                news = self._untold[0]
                try:
                    _tell(news)
                except BrokerUnavailable as error:
                    logger.warning(
                        "Redis did not take the outcomes of %d jobs: %s", len(news.messages), error
                    )
                    return False
                except Exception as error:
                    # Not for ever: the others wait behind it, and the rows say how these ended.
                    logger.error(
                        "Redis cannot be told of the outcomes of %d jobs, which are settled: %s",
                        len(news.messages),
                        type(error).__name__,
                    )
                self._untold.popleft()
        return True

    def _run(self) -> None:
        """Body of the thread. What Redis does not take now, the relay's walk has told later."""
        while self._wake.get():
            self.tell_untold()
        self.tell_untold()


def _tell(news: News) -> None:
    queues.finish(news.messages, news.worker_id, news.counters, news.batch_id, news.chart)
    for report in news.reports:
        plain_rq.tell(report)
