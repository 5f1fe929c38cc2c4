"""What a save of a settlement or payment costs with the rules that its signal runs."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.peers import Peer


def saves(arena: Arena, peer: Peer, count: int) -> dict[str, float]:
    """Medians by kind of save, with its signal and without, and how many jobs the signal wrote."""
    arena.clear(peer)
    return arena.ask(peer, "benchmarks.site.saves", count=count)
