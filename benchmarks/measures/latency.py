"""How soon a lone job starts on an idle worker, and how late delayed jobs start."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.figures import percentile
from benchmarks.ledgers import check_all_ran
from benchmarks.peers import Peer

_LONGEST_GAP = 0.04


def pick_up(arena: Arena, peer: Peer, count: int) -> dict[str, float]:
    """From the call that enqueues a job to the job's start, in milliseconds; one job at a time."""
    arena.clear(peer)
    with arena.worker(peer):
        called = arena.produce(peer, "lone", count=count, longest_gap=_LONGEST_GAP)["called"]
        arena.wait_until_settled(peer)
    started = arena.ledger("noop").read()
    check_all_ran(started, count)
    waits = [1000 * (started[number] - called[number]) for number in range(count)]
    return {
        "p50_milliseconds": percentile(waits, 50),
        "p99_milliseconds": percentile(waits, 99),
        "samples": count,
    }


def lateness(arena: Arena, peer: Peer, count: int, rate: float, lead: float) -> dict[str, float]:
    """From the time that jobs are due to their start, in milliseconds, while `rate` a second fall due."""
    arena.clear(peer)
    with arena.worker(peer) as worker:
        due = arena.produce(peer, "delayed", count=count, rate=rate, lead=lead)["due"]
        patience = lead + count / rate + 30
        arena.wait_for(arena.ledger("noop"), count, peer, worker.pid, patience)
        arena.wait_until_settled(peer)
    started = arena.ledger("noop").read()
    check_all_ran(started, count)
    late = [1000 * (started[number] - due[number]) for number in range(count)]
    return {
        "p50_milliseconds": percentile(late, 50),
        "p99_milliseconds": percentile(late, 99),
        "earliest_milliseconds": min(late),
        "latest_milliseconds": max(late),
        "samples": count,
    }
