"""How fast a worker gets through jobs that wait already, and what each costs."""

from __future__ import annotations

from contextlib import closing

from benchmarks import processes
from benchmarks.arena import Arena
from benchmarks.ledgers import Ledger, check_all_ran
from benchmarks.peers import Peer


def drain(arena: Arena, peer: Peer, work: str, count: int) -> dict[str, float]:
    """Enqueue `count` jobs, start the worker, and count from the first job's run to the last one's."""
    arena.clear(peer)
    arena.fill(peer, work, count)
    with closing(arena.ledger(work)) as ledger:
        return _drain(arena, peer, ledger, count)


def _drain(arena: Arena, peer: Peer, ledger: Ledger, count: int) -> dict[str, float]:
    with arena.worker(peer) as worker:
        already = arena.wait_for(ledger, 1, peer, worker.pid)
        before = arena.usage(worker.pid)
        arena.wait_for(ledger, count // 2, peer, worker.pid)
        memory, process_count = processes.memory(worker.pid), processes.process_count(worker.pid)
        done = arena.wait_for(ledger, count, peer, worker.pid)
        used = arena.usage(worker.pid) - before
        arena.wait_until_settled(peer)
    moments = ledger.read()
    check_all_ran(moments, count)
    measured = done - already
    return {
        "jobs_per_second": (count - 1) / (max(moments.values()) - min(moments.values())),
        "worker_cpu_microseconds": 1e6 * used.worker / measured,
        "redis_cpu_microseconds": 1e6 * used.redis / measured,
        "postgresql_cpu_microseconds": 1e6 * used.postgresql / measured if peer.database else 0.0,
        "memory_megabytes": memory / 2**20,
        "processes": process_count,
        "jobs": count,
    }
