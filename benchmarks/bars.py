"""What this worker must show, as ratios within one run, and whether a run shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import console_report
from benchmarks.console_pages import PAGES
from benchmarks.figures import middle_spread
from benchmarks.outcome import Outcome
from benchmarks.plan import LARGEST, MIDDLE, OPERATIONS

MOST_GROWTH = 1.5
MOST_OF_COUNTERS = 0.05


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing to show: `measured` is None if the run has no figures for it."""

    what: str
    asked: str
    measured: float | None
    shown: str
    """The measured figure as text."""
    reached: bool | None


def bars(outcome: Outcome) -> list[Bar]:
    """All of them, in the order of their importance."""

    def times(measure: str, peer: str, base: str, figure: str) -> float | None:
        return outcome.times(measure, peer, base, figure)

    rate, cpu = "jobs_per_second", "worker_cpu_microseconds"
    p50, p99 = "p50_milliseconds", "p99_milliseconds"
    ours, ours_2x50, stock, bull = "ours_postgresql", "ours_2x50", "stock", "bull_50"
    return [
        _at_least("no-op, PostgreSQL, defaults : stock rqworker", 100, times("noop", ours, stock, rate)),
        _at_least("5 ms I/O, 2 × 50 : Bull 4 concurrency 50", 1.0, times("io5", ours_2x50, bull, rate)),
        _at_least("5 ms I/O, defaults : Celery threads -c 50", 3, times("io5", ours, "celery_threads", rate)),
        _at_least(
            "e-mail job : the same code on stock rqworker", 20, times("email", ours, "stock_email", rate)
        ),
        _at_least("bulk enqueue : stock enqueue_many without rows", 1.2, times("bulk", ours, stock, rate)),
        _at_most("worker CPU by no-op job : stock rqworker", 1 / 50, times("noop", ours, stock, cpu)),
        _at_most("pick-up p50 : Bull 4 concurrency 50", 3, times("pickup", ours, bull, p50)),
        _at_most("pick-up p99 : Bull 4 concurrency 50", 4, times("pickup", ours, bull, p99)),
        _at_most("lateness p50 : Bull 4 concurrency 50", 6, times("delayed", ours, bull, p50)),
        _at_most("lateness p99 : Bull 4 concurrency 50", 8, times("delayed", ours, bull, p99)),
        _never_early(outcome.samples("delayed", ours, "earliest_milliseconds")),
        _cheap_counters(outcome),
        *(_bounded_growth(outcome, operation) for operation in OPERATIONS),
        _quick_pages(outcome),
        _nothing_lost(outcome),
    ]


def _at_least(what: str, bar: float, measured: float | None) -> Bar:
    reached = None if measured is None else measured >= bar
    return Bar(what, f"at least {_times(bar)}", measured, _times(measured), reached)


def _at_most(what: str, bar: float, measured: float | None) -> Bar:
    reached = None if measured is None else measured <= bar
    return Bar(what, f"at most {_times(bar)}", measured, _times(measured), reached)


def _never_early(earliest: Sequence[float]) -> Bar:
    what, asked = "earliest start of a delayed job", "not before its time"
    if not earliest:
        return Bar(what, asked, None, "–", None)
    return Bar(what, asked, min(earliest), f"{min(earliest):+.2f} ms", min(earliest) >= 0)


def _bounded_growth(outcome: Outcome, operation: str) -> Bar:
    what = f"{OPERATIONS[operation]}: growth from {MIDDLE:,} to {LARGEST:,} jobs of each state"
    grown = growth(outcome, operation)
    refused = outcome.middle("crowd", "ours_postgresql", f"{operation}_refused_{LARGEST}")
    reached = None if grown is None else grown < MOST_GROWTH and not refused
    shown = f"{_times(grown)}, refused" if refused else _times(grown)
    return Bar(what, f"less than {_times(MOST_GROWTH)}", grown, shown, reached)


def growth(outcome: Outcome, operation: str) -> float | None:
    """How many times longer an operation takes among the most jobs than among the middle number."""
    small = outcome.middle("crowd", "ours_postgresql", f"{operation}_milliseconds_{MIDDLE}")
    large = outcome.middle("crowd", "ours_postgresql", f"{operation}_milliseconds_{LARGEST}")
    return None if small is None or large is None else large / small


def _cheap_counters(outcome: Outcome) -> Bar:
    """Beyond the spread: what the middle half of the rounds of either differs by is no cost."""
    what, asked = "counters of the charts: part of a no-op job's time", "less than 5 % beyond the spread"
    cost = cost_of_counters(outcome)
    if cost is None:
        return Bar(what, asked, None, "–", None)
    samples = [outcome.samples("counters", peer, "jobs_per_second") for peer in _COUNTING]
    between = max(map(middle_spread, samples))
    shown = f"{100 * cost:.1f} %, spread {100 * between:.1f} %"
    return Bar(what, asked, cost, shown, cost - between < MOST_OF_COUNTERS)


_COUNTING = ("ours_uncounted", "ours_postgresql")


def cost_of_counters(outcome: Outcome) -> float | None:
    """By which part a job takes longer with the counters of the charts than without them."""
    without = outcome.times("counters", *_COUNTING, "jobs_per_second")
    return None if without is None else without - 1


def _quick_pages(outcome: Outcome) -> Bar:
    what, asked = "pages of the console over their limit, among 1,200,000 jobs", "0"
    held = [console_report.holds(outcome, page) for page in PAGES]
    if None in held:
        return Bar(what, asked, None, "–", None)
    over = held.count(False)
    return Bar(what, asked, float(over), f"{over} of {len(held)}", not over)


def _nothing_lost(outcome: Outcome) -> Bar:
    what, asked = "jobs lost or doubled in this run", "0"
    if not outcome.jobs():
        return Bar(what, asked, None, "–", None)
    lost = [failure for failure in outcome.failures if "ran twice" in failure or "did not run" in failure]
    shown = f"0 of {outcome.jobs():,}" if not lost else f"see the {len(lost)} failures"
    return Bar(what, asked, float(len(lost)), shown, not lost)


def _times(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    if 0 < value <= 0.1:
        return f"1/{1 / value:.0f}"
    return f"{value:,.0f} ×" if value >= 20 else f"{value:.2f} ×"
