"""Whether the Redis of a queue answers at all, and what of its settings keeps it from that for good."""

from __future__ import annotations

import re

from jobqueue.broker import server
from jobqueue.broker.connections import as_unavailable, client_for
from jobqueue.broker.refusals import NO_CLUSTER, what_helps
from jobqueue.exceptions import BrokerUnavailable

_NO_SUCH_DATABASE = re.compile(r"DB index is out of range|invalid DB index", re.IGNORECASE)


def greet(queue: str) -> None:
    """Return when the Redis of this queue answers, and is no node of a cluster; else BrokerUnavailable."""
    with as_unavailable():
        client = client_for(queue)
        client.ping()
        if server.is_in_a_cluster(client):
            raise BrokerUnavailable(NO_CLUSTER)


def refusal_for_good(error: BrokerUnavailable) -> str:
    """What to do about an answer that no waiting mends; empty if waiting may help."""
    if NO_CLUSTER in str(error):
        return NO_CLUSTER
    cause = error.__cause__
    if not isinstance(cause, Exception):
        return ""
    if _NO_SUCH_DATABASE.search(str(cause)):
        return "Look at DB or URL in RQ_QUEUES (from REDIS_JOB_QUEUE_DB, say)"
    return what_helps(cause).removeprefix("; ")
