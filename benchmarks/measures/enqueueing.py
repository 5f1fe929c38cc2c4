"""How fast jobs are enqueued, one by one and in bulk, while no worker runs."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.peers import Peer


def single(arena: Arena, peer: Peer, count: int) -> dict[str, float]:
    """Jobs a second, enqueued one by one."""
    arena.clear(peer)
    seconds = arena.produce(peer, "single", count=count)["seconds"]
    return {"jobs_per_second": count / seconds, "jobs": count}


def bulk(arena: Arena, peer: Peer, count: int) -> dict[str, float]:
    """Jobs a second, enqueued a thousand at a time."""
    arena.clear(peer)
    seconds = arena.produce(peer, "bulk", count=count)["seconds"]
    return {"jobs_per_second": count / seconds, "jobs": count}
