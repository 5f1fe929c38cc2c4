"""The results as Markdown: what must be shown first, then a table by measure, ratios first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from benchmarks import console_report
from benchmarks.bars import bars, growth
from benchmarks.figures import spread
from benchmarks.outcome import Outcome
from benchmarks.plan import MEASURES, OPERATIONS, SIZES

Row = Sequence[str]
Column = tuple[str, Callable[[str], str]]

_STOCK, _BULL, _OURS = "stock", "bull_50", "ours_postgresql"
_SHORT = {
    _STOCK: "stock",
    "stock_email": "stock",
    "celery_threads": "Celery threads",
    "ours_uncounted": "without",
}


def markdown(outcome: Outcome) -> str:
    """The whole report."""
    parts = ["# Results", _introduction(outcome), _failures(outcome), _bars(outcome)]
    tables: dict[str, Callable[[], str]] = {
        "noop": lambda: _drained(outcome, "noop", [_STOCK, _BULL]),
        "counters": lambda: _drained(outcome, "counters", ["ours_uncounted"]),
        "io5": lambda: _drained(outcome, "io5", [_BULL, "celery_threads", _STOCK]),
        "email": lambda: _drained(outcome, "email", ["stock_email"]),
        "bulk": lambda: _enqueued(outcome, "bulk"),
        "single": lambda: _enqueued(outcome, "single"),
        "pickup": lambda: _waited(outcome, "pickup"),
        "delayed": lambda: _waited(outcome, "delayed"),
        "saves": lambda: _saves(outcome),
        "crowd": lambda: _crowd(outcome),
        "console": lambda: _console(outcome),
    }
    for measure, make in tables.items():
        if outcome.peers(measure):
            parts.append(f"## {MEASURES[measure]}\n\n{make()}")
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Row, rows: Sequence[Row]) -> str:
    """A Markdown table; every column but the first is a number."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 0) -> str:
    """A figure for a table; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def factor(value: float | None) -> str:
    """A ratio with three significant digits."""
    if value is None or math.isnan(value):
        return "–"
    return number(value, max(0, 2 - math.floor(math.log10(value)))) if value > 0 else number(value, 2)


# Parts --------------------------------------------------------------------------------------------


def _introduction(outcome: Outcome) -> str:
    machine = outcome.machine
    if not machine:
        return ""
    text = (
        f"{machine['started']}, {machine['cores']} cores ({machine['processor']}), {machine['memory']}, "
        f"{machine['system']}; {machine['versions']}. Load when it began: {machine['load']:.2f}. "
        f"The disk takes a page for good in {machine['flush_milliseconds']:.2f} ms (median). "
        f"Medians of {machine['rounds']} interleaved rounds, {machine['minutes']:.0f} minutes. "
        "Read the ratios: absolute figures are this machine's, on that day."
    )
    notes = [text, *machine.get("notes", [])]
    if not outcome.is_whole:
        notes.append("**Not a whole run**: some measures, peers or samples were left out.")
    return "\n\n".join(notes)


def _failures(outcome: Outcome) -> str:
    lines = [f"- {failure.splitlines()[0]}" for failure in outcome.failures]
    return "\n".join(["**Failed, and not in the tables:**", "", *lines]) if lines else ""


def _bars(outcome: Outcome) -> str:
    words = {True: "yes", False: "**no**", None: "not measured"}
    rows = [[bar.what, bar.asked, bar.shown, words[bar.reached]] for bar in bars(outcome)]
    return "## What it must show\n\n" + table(["ratio", "asked", "measured", "reached"], rows)


def _table_of(outcome: Outcome, measure: str, columns: Sequence[Column]) -> str:
    rows = [
        [outcome.labels.get(peer, peer), *(cell(peer) for _header, cell in columns)]
        for peer in outcome.peers(measure)
    ]
    return table(["", *(header for header, _cell in columns)], rows)


def _ratio_columns(outcome: Outcome, measure: str, bases: Sequence[str], figure: str) -> list[Column]:
    def column(base: str) -> Column:
        return f"× {_SHORT.get(base, 'Bull 50')}", lambda peer: factor(
            outcome.times(measure, peer, base, figure)
        )

    return [column(base) for base in bases if base in outcome.peers(measure)]


def _plain(outcome: Outcome, measure: str, figure: str, header: str, digits: int = 0) -> Column:
    return header, lambda peer: number(outcome.middle(measure, peer, figure), digits)


def _spread(outcome: Outcome, measure: str, figure: str) -> Column:
    return "±", lambda peer: f"{100 * spread(outcome.samples(measure, peer, figure)):.0f} %"


def _drained(outcome: Outcome, measure: str, bases: Sequence[str]) -> str:
    rate = "jobs_per_second"
    return _table_of(
        outcome,
        measure,
        [
            *_ratio_columns(outcome, measure, bases, rate),
            _plain(outcome, measure, rate, "jobs/s"),
            _spread(outcome, measure, rate),
            _plain(outcome, measure, "worker_cpu_microseconds", "worker CPU µs/job"),
            _plain(outcome, measure, "redis_cpu_microseconds", "Redis µs/job"),
            _plain(outcome, measure, "postgresql_cpu_microseconds", "PostgreSQL µs/job"),
            _plain(outcome, measure, "memory_megabytes", "memory MB (PSS)"),
            _plain(outcome, measure, "processes", "processes"),
        ],
    )


def _enqueued(outcome: Outcome, measure: str) -> str:
    rate = "jobs_per_second"
    return _table_of(
        outcome,
        measure,
        [
            *_ratio_columns(outcome, measure, [_STOCK, _BULL], rate),
            _plain(outcome, measure, rate, "jobs/s"),
            _spread(outcome, measure, rate),
        ],
    )


def _waited(outcome: Outcome, measure: str) -> str:
    columns: list[Column] = []
    for figure, name in (("p50_milliseconds", "p50"), ("p99_milliseconds", "p99")):
        for header, cell in _ratio_columns(outcome, measure, [_BULL], figure):
            columns.append((f"{name} {header}", cell))
    columns += [
        _plain(outcome, measure, "p50_milliseconds", "p50 ms", 2),
        _spread(outcome, measure, "p50_milliseconds"),
        _plain(outcome, measure, "p99_milliseconds", "p99 ms", 2),
        _spread(outcome, measure, "p99_milliseconds"),
    ]
    if measure == "delayed":
        columns.append(
            (
                "earliest ms",
                lambda peer: number(min(outcome.samples(measure, peer, "earliest_milliseconds")), 2),
            )
        )
    return _table_of(outcome, measure, columns)


_SAVES = {
    "settlement": "a new settlement",
    "payment": "a new payment",
    "unchanged": "a settlement saved without a change",
}


def _saves(outcome: Outcome) -> str:
    rows = []
    for kind, label in _SAVES.items():
        with_signal = outcome.middle("saves", _OURS, f"{kind}_microseconds_with_signal")
        without = outcome.middle("saves", _OURS, f"{kind}_microseconds_without")
        if with_signal is None or without is None:
            continue
        jobs = outcome.middle("saves", _OURS, f"{kind}_jobs")
        figures = [factor(with_signal / without), number(with_signal), number(without), number(jobs, 1)]
        rows.append([label, *figures])
    return table(["", "× without", "with its signal µs", "without µs", "jobs written"], rows)


def _crowd(outcome: Outcome) -> str:
    rows = []
    for operation, label in OPERATIONS.items():
        cells = [_cell_of_crowd(outcome, operation, size) for size in SIZES]
        rows.append([label, factor(growth(outcome, operation)), *cells])
    header = ["milliseconds, with so many waiting, delayed and failed jobs each", "growth 10⁴ to 10⁶"]
    return table([*header, *(f"{size:,}" for size in SIZES)], rows)


def _cell_of_crowd(outcome: Outcome, operation: str, size: int) -> str:
    time = number(outcome.middle("crowd", _OURS, f"{operation}_milliseconds_{size}"), 2)
    return f"{time} (refused)" if outcome.middle("crowd", _OURS, f"{operation}_refused_{size}") else time


def _console(outcome: Outcome) -> str:
    header = ["milliseconds of server time, warm, and queries", "p50", "p95", "at most", "queries", "holds"]
    return table(header, console_report.rows(outcome))
