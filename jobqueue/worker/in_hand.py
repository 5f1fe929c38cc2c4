"""What a worker holds and hands back."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

from jobqueue.broker import queues, server
from jobqueue.broker.message import Message
from jobqueue.delivery import outbox
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import jobs_in, transitions
from jobqueue.worker.claiming import Claim

logger = logging.getLogger(__name__)

WORKER_STOPPED = "handed back: its worker stopped"


def hand_back(claims: Sequence[Claim], worker_id: uuid.UUID, reason: str = WORKER_STOPPED) -> int:
    """Put jobs of this worker back on the road without using up an attempt. Returns how many."""
    messages: list[Message] = []
    for claimed in claims:
        job = claimed.job
        if transitions.hand_back(jobs_in(claimed.using), job, worker_id, reason=reason):
            messages.append(outbox.message_of(job, claimed.using))
    if not messages:
        return 0
    try:
        # A Redis that hangs must not hold up the shutdown; the relay of any worker does the rest.
        server.ping()
        queues.finish([(message, False) for message in messages], worker_id.hex)
        for alias in {claimed.using for claimed in claims}:
            outbox.publish_due(alias)
    except BrokerUnavailable as error:
        logger.warning("the relay will publish %d jobs handed back: %s", len(messages), error)
    return len(messages)
