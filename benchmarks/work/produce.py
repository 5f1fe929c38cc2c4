"""One producer process: `python -m benchmarks.work.produce <peer> <task> <options as JSON>`.

Prints its result as one line of JSON. `producer.js` does the same for the peers on node.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from benchmarks.work import body

CHUNK = 1000
_WARM_UP = 20
_PATIENCE = 60.0


class Client(Protocol):
    """How one peer enqueues. `numbers` name the jobs; their effects are noted under these."""

    def add(self, work: str, number: int) -> None:
        """Enqueue one job."""

    def add_many(self, work: str, numbers: Sequence[int]) -> None:
        """Enqueue jobs as fast as the peer can."""

    def add_at(self, work: str, number: int, due: float) -> None:
        """Enqueue one job for a later time, in seconds since the epoch."""


def fill(client: Client, work: str, count: int) -> dict[str, Any]:
    """Enqueue `count` jobs in bulk."""
    for start in range(0, count, CHUNK):
        client.add_many(work, range(start, min(count, start + CHUNK)))
    return {}


def single(client: Client, count: int) -> dict[str, Any]:
    """How long `count` jobs take, enqueued one by one."""
    for number in range(-_WARM_UP, 0):
        client.add("noop", number)
    started = time.perf_counter()
    for number in range(count):
        client.add("noop", number)
    return {"seconds": time.perf_counter() - started}


def bulk(client: Client, count: int) -> dict[str, Any]:
    """How long `count` jobs take, enqueued a thousand at a time."""
    client.add_many("noop", range(-_WARM_UP, 0))
    started = time.perf_counter()
    fill(client, "noop", count)
    return {"seconds": time.perf_counter() - started}


def lone(client: Client, count: int, longest_gap: float) -> dict[str, Any]:
    """Enqueue `count` jobs one after another, each when its worker has been idle for a while."""
    effects = body.connect()
    _warm_up(client, effects)
    called = []
    for number in range(count):
        time.sleep(random.uniform(longest_gap / 5, longest_gap))
        called.append(time.time())
        client.add("noop", number)
        _await_effects(effects, number + 1)
    return {"called": called}


def delayed(client: Client, count: int, rate: float, lead: float) -> dict[str, Any]:
    """Enqueue `count` jobs that fall due `rate` a second; the first of them after `lead` seconds."""
    _warm_up(client, body.connect())
    first = time.time() + lead
    due = [round(first + number / rate, 3) for number in range(count)]
    for number, moment in enumerate(due):
        client.add_at("noop", number, moment)
    if time.time() > first:
        raise SystemExit(
            f"enqueueing {count} delayed jobs took more than {lead} s: the first were late by then"
        )
    return {"due": due}


def _warm_up(client: Client, effects: Any) -> None:
    """Let every part of the worker have run once; what ran is forgotten."""
    for number in range(-_WARM_UP, 0):
        client.add("noop", number)
    _await_effects(effects, _WARM_UP)
    effects.delete(body.EFFECTS)


def _await_effects(effects: Any, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while effects.llen(body.EFFECTS) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{effects.llen(body.EFFECTS)} of {count} jobs ran within {_PATIENCE} s")
        time.sleep(0.001)


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (fill, single, bulk, lone, delayed)
}


def main() -> None:
    """Do one task for one peer."""
    peer, task, options = sys.argv[1:]
    client: Client = importlib.import_module(f"benchmarks.work.{peer}").client()
    print(json.dumps(_TASKS[task](client, **json.loads(options))), flush=True)


if __name__ == "__main__":
    main()
