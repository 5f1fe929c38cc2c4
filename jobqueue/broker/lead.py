"""Who leads among the relays: one of all workers does."""

from __future__ import annotations

from jobqueue.broker import scripts
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.scripts import Script

_LEAD = Script("lead", "candidate", "lease")


def take(candidate: str, lease: float) -> bool:
    """Take or keep the lead for `lease` seconds. Whether it was got."""
    return bool(_lead(candidate, int(lease * 1000)))


def give_up(candidate: str) -> None:
    """Let another lead at once; nothing happens if this one does not lead."""
    _lead(candidate, 0)


def _lead(candidate: str, lease: int) -> int:
    with as_unavailable():
        return int(scripts.run(clients("work")[0], _LEAD, candidate=candidate, lease=lease))
