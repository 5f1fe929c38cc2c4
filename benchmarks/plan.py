"""What is measured on whom, and how large a sample is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import peers
from benchmarks.arena import Arena
from benchmarks.measures import console, crowd, drain, enqueueing, latency, saves
from benchmarks.peers import Peer

SIZES = (1_000, 10_000, 100_000, 1_000_000)
"""Of the crowds: how many jobs wait, are delayed and have failed, each."""

MIDDLE, LARGEST = SIZES[1], SIZES[-1]
OPERATIONS = {
    "claim": "claim and complete 64 jobs",
    "relay": "one look of the relay",
    "health": "`GET /health/queues`",
    "metrics": "`GET /metrics`",
    "admin": "the admin's list of jobs",
    "admin_failed": "the admin's list of failed jobs",
}
"""What is timed among a crowd, by name."""

MEASURES = {
    "noop": "Drain: jobs that do nothing but one RPUSH",
    "counters": "What the counters of the charts cost such a job: drained with and without them, in turns",
    "io5": "Drain: jobs that wait 5 ms, then one RPUSH",
    "email": "Drain: the real e-mail job",
    "bulk": "Enqueue, a thousand at a time",
    "single": "Enqueue, one by one",
    "pickup": "Pick-up of a lone job, from the enqueue call to its start",
    "delayed": "Lateness of delayed jobs, 100 due a second",
    "saves": "What a save costs with its signal",
    "crowd": "Cost among many jobs",
    "console": "Pages of the operators' console, among 1,200,000 jobs",
}
"""Every measure, in the order in which they run."""

Figures = dict[str, float]
Run = Callable[[Arena, Peer], Figures]


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: every peer is run once in each round."""

    key: str
    peers: Sequence[Peer]
    run: Run
    shown: str
    """Which figure tells how it went, while it goes."""

    once: bool = False
    """Whether one round is enough: it takes medians itself."""


def measures(scale: float) -> list[Measure]:
    """All measures; `scale` below 1 makes the samples smaller."""

    def some(count: int, least: int = 20) -> int:
        return max(least, int(count * scale))

    def drained(work: str) -> Run:
        return lambda arena, peer: drain.drain(arena, peer, work, some(peer.jobs[work], 40))

    rate = "jobs_per_second"
    return [
        Measure("noop", peers.DRAINING, drained("noop"), rate),
        Measure("counters", peers.COUNTING, drained("noop"), rate),
        Measure("io5", peers.DRAINING, drained("io5"), rate),
        Measure("email", peers.EMAILING, drained("email"), rate),
        Measure("bulk", peers.ENQUEUEING, partial(enqueueing.bulk, count=some(30_000, 2000)), rate),
        Measure("single", peers.ENQUEUEING, partial(enqueueing.single, count=some(3_000)), rate),
        Measure(
            "pickup", peers.PICKING_UP, partial(latency.pick_up, count=some(250, 50)), "p50_milliseconds"
        ),
        Measure(
            "delayed",
            peers.DELAYING,
            partial(latency.lateness, count=some(1000, 200), rate=100.0, lead=5.0),
            "p50_milliseconds",
        ),
        Measure(
            "saves",
            [peers.OURS],
            partial(saves.saves, count=some(200)),
            "settlement_microseconds_with_signal",
        ),
        Measure(
            "crowd",
            [peers.OURS],
            partial(crowd.crowd, sizes=SIZES if scale == 1 else SIZES[:-1]),
            "claim_milliseconds_10000",
            once=True,
        ),
        Measure(
            "console",
            [peers.OURS],
            partial(console.console, share=1 if scale == 1 else 0.05),
            "slowest_p95_milliseconds",
            once=True,
        ),
    ]
