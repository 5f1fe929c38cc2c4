"""What claims, looks and pages cost while many jobs wait, are delayed or have failed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.arena import Arena
from benchmarks.peers import Peer


def crowd(arena: Arena, peer: Peer, sizes: Sequence[int]) -> dict[str, float]:
    """Milliseconds by operation and size; `claim_1000000` is a claim among a million jobs of each state."""
    arena.clear(peer)
    figures: dict[str, float] = {}
    for size in sizes:
        print(f" {size:,}", end="", flush=True)
        answer = arena.ask(peer, "benchmarks.site.crowd", size=size)
        figures |= {f"{name}_{size}": value for name, value in answer.items()}
    return figures
