"""Tells Redis which jobs are settled; what it does not take now waits in memory."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobqueue import plain_rq
from jobqueue.broker import queues
from jobqueue.broker.message import Message
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.plain_rq import Report

logger = logging.getLogger("jobqueue.execution")


@dataclass(frozen=True, slots=True)
class _Settled:
    """What Redis has to be told about one settled batch."""

    messages: list[tuple[Message, bool]]
    worker_id: str
    counters: dict[str, float]
    batch_id: str
    reports: list[Report]


# Batches that Redis did not take yet. The rows are right already; only RQ's registries and the
# counters wait. Bounded: after hours without Redis the oldest counts are given up.
_untold: deque[_Settled] = deque(maxlen=10_000)
_telling = threading.Lock()


def tell(
    messages: list[tuple[Message, bool]],
    worker_id: str,
    counters: dict[str, float],
    by: Callable[[], object] | None = None,
    reports: Sequence[Report] = (),
) -> None:
    _untold.append(_Settled(messages, worker_id, counters, uuid.uuid4().hex, list(reports)))
    (by or tell_redis)()


def tell_redis() -> bool:
    """Tell Redis about settled batches, the oldest first; False if some must wait until it is back."""
    with _telling:
        while _untold:
            settled = _untold[0]
            try:
                queues.finish(settled.messages, settled.worker_id, settled.counters, settled.batch_id)
                for report in settled.reports:
                    plain_rq.tell(report)
            except BrokerUnavailable as error:
                logger.warning("Redis did not take the outcomes of %d jobs: %s", len(settled.messages), error)
                return False
            _untold.popleft()
    return True
