"""Whether the Redis of a queue answers at all, and what of its settings keeps it from that for good."""

from __future__ import annotations

import re

from jobqueue.broker.connections import as_unavailable, client_for
from jobqueue.broker.refusals import what_helps
from jobqueue.exceptions import BrokerUnavailable

_NO_SUCH_DATABASE = re.compile(r"DB index is out of range|invalid DB index", re.IGNORECASE)


def greet(queue: str) -> None:
    """Return when the Redis server of this queue answers; BrokerUnavailable if it does not."""
    with as_unavailable():
        client_for(queue).ping()


def refusal_for_good(error: BrokerUnavailable) -> str:
    """What to do about an answer that no waiting mends; empty if waiting may help."""
    cause = error.__cause__
    if not isinstance(cause, Exception):
        return ""
    if _NO_SUCH_DATABASE.search(str(cause)):
        return "Look at DB or URL in RQ_QUEUES (from REDIS_JOB_QUEUE_DB, say)"
    return what_helps(cause).removeprefix("; ")
