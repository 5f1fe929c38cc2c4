"""What claims, looks and pages cost while many jobs wait, are delayed or have failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.arena import Arena
from benchmarks.figures import median
from benchmarks.peers import Peer
from benchmarks.site.crowd import ROUNDS

_MODULE = "benchmarks.site.crowd"
# One for each crowd, since their jobs have the same numbers.
_FIRST_REDIS_DATABASE = 8


def crowd(arena: Arena, peer: Peer, sizes: Sequence[int]) -> dict[str, float]:
    """Milliseconds by operation and size: `claim_milliseconds_1000000`, and how often it was refused.

    Every crowd has a database of its own, and rounds go from one to the next, so that what else the
    machine does in the meantime falls on all of them.
    """
    arena.clear(peer)
    crowds = {size: _with_crowd(arena, peer, size, number) for number, size in enumerate(sizes)}
    for size, there in crowds.items():
        print(f" {size:,}", end="", flush=True)
        arena.ask(there, _MODULE, grow=size)
    answers: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for _ in range(ROUNDS):
        print(" .", end="", flush=True)
        for size, there in crowds.items():
            answers[size].append(arena.ask(there, _MODULE))
    for size in sizes:
        arena.drop_database(_name(size))
    return {
        f"{name}_{size}": _summary([answer[name] for answer in rounds])
        for size, rounds in answers.items()
        for name in rounds[0]
    }


def _with_crowd(arena: Arena, peer: Peer, size: int, number: int) -> Peer:
    """The same worker with another database and other queues."""
    settings = {
        "DATABASE_URL": arena.make_database(_name(size)),
        "REDIS_JOB_QUEUE_DB": str(_FIRST_REDIS_DATABASE + number),
    }
    return replace(peer, environment={**peer.environment, **settings})


def _name(size: int) -> str:
    return f"crowd_{size}"


def _summary(values: list[Any]) -> float:
    """The median of all times, the sum of all counts."""
    if isinstance(values[0], list):
        return float(median([time for times in values for time in times]))
    return float(sum(values))
