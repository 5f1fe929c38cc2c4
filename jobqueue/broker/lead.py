"""Who leads among the relays: one of all workers does."""

from __future__ import annotations

from jobqueue.broker import scripts
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.scripts import Script
from jobqueue.exceptions import BrokerUnavailable

_LEAD = Script("lead", "candidate", "lease")


def take(candidate: str, lease: float) -> bool:
    """Take or keep the lead for `lease` seconds. Whether it was got."""
    return bool(_lead(candidate, int(lease * 1000)))


def give_up(candidate: str) -> None:
    """Let another lead at once; nothing happens if this one does not lead."""
    _lead(candidate, 0)


def _lead(candidate: str, lease: int) -> int:
    """Asked of the first server that answers: one that is away keeps no queue of another waiting."""
    first: BrokerUnavailable | None = None
    for client in clients("work"):
        try:
            with as_unavailable():
                return int(scripts.run(client, _LEAD, candidate=candidate, lease=lease))
        except BrokerUnavailable as error:
            first = first or error
    raise first or BrokerUnavailable("RQ_QUEUES names no Redis")
