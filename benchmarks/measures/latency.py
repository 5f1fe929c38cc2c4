"""How soon a lone job starts on an idle worker, and how late delayed jobs start."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.figures import percentile
from benchmarks.peers import Peer
from benchmarks.processes import BenchmarkFailed

_LONGEST_GAP = 0.05


def pick_up(arena: Arena, peer: Peer, count: int) -> dict[str, float]:
    """From the call that enqueues a job to the job's start, in milliseconds; one job at a time."""
    arena.clear(peer)
    with arena.worker(peer):
        called = arena.produce(peer, "lone", count=count, longest_gap=_LONGEST_GAP)["called"]
        arena.wait_until_settled(peer)
    started = arena.read_effects()
    _check_all_ran(started, count)
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
        arena.wait_for_effects(peer, worker.pid, count, patience=lead + count / rate + 30)
        arena.wait_until_settled(peer)
    started = arena.read_effects()
    _check_all_ran(started, count)
    late = [1000 * (started[number] - due[number]) for number in range(count)]
    return {
        "p50_milliseconds": percentile(late, 50),
        "p99_milliseconds": percentile(late, 99),
        "earliest_milliseconds": min(late),
        "latest_milliseconds": max(late),
        "samples": count,
    }


def _check_all_ran(started: dict[int, float], count: int) -> None:
    if sorted(started) != list(range(count)):
        raise BenchmarkFailed(f"{len(started)} of {count} jobs ran")
