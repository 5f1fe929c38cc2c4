"""What a save costs with its signal and without: `python -m benchmarks.site.saves <options as JSON>`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import django

_WARM_UP = 5


def main() -> None:
    """Time saves in turns: one with the rules of `settlements.signals`, one with no signal at all."""
    django.setup()
    count: int = json.loads(sys.argv[1])["count"]
    answer: dict[str, float] = {}
    for name, prepare in _saves().items():
        times: dict[bool, list[float]] = {True: [], False: []}
        jobs = 0
        for number in range(count + _WARM_UP):
            for with_signal in (True, False):
                save = prepare()
                before = _count_jobs()
                seconds = _time(save, with_signal)
                if number >= _WARM_UP:
                    times[with_signal].append(seconds)
                    jobs += _count_jobs() - before
        answer |= {
            f"{name}_microseconds_with_signal": 1e6 * median(times[True]),
            f"{name}_microseconds_without": 1e6 * median(times[False]),
            f"{name}_jobs": jobs / count,
        }
    print(json.dumps(answer | {"samples": count}))


def _saves() -> dict[str, Callable[[], Callable[[], Any]]]:
    """By name: what prepares one save and returns it."""
    from benchmarks.site.people import make_quiet_settlement, new_settlement
    from settlements.models import Payment

    def create_settlement() -> Callable[[], Any]:
        return new_settlement().save

    def create_payment() -> Callable[[], Any]:
        settlement = make_quiet_settlement()
        return Payment(settlement=settlement, amount=settlement.amount / 2).save

    def change_nothing() -> Callable[[], Any]:
        return make_quiet_settlement().save

    return {"settlement": create_settlement, "payment": create_payment, "unchanged": change_nothing}


def _time(save: Callable[[], Any], with_signal: bool) -> float:
    if with_signal:
        return _timed(save)
    with _no_signals():
        return _timed(save)


def _timed(save: Callable[[], Any]) -> float:
    started = time.perf_counter()
    save()
    return time.perf_counter() - started


@contextmanager
def _no_signals() -> Iterator[None]:
    from django.db.models.signals import post_save, pre_save

    kept = [(signal, signal.receivers) for signal in (pre_save, post_save)]
    try:
        for signal, _receivers in kept:
            signal.receivers = []
            signal.sender_receivers_cache.clear()
        yield
    finally:
        for signal, receivers in kept:
            signal.receivers = receivers
            signal.sender_receivers_cache.clear()


def _count_jobs() -> int:
    from jobqueue.models import Job

    return Job.objects.count()


if __name__ == "__main__":
    main()
