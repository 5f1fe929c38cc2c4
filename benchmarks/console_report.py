"""The pages of the console in the results: what each took, and whether it keeps its limits."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.console_pages import MOST_QUERIES, PAGES, TimedPage
from benchmarks.outcome import Outcome

_OURS, _OK = "ours_postgresql", 200


def figure(outcome: Outcome, page: TimedPage, name: str) -> float | None:
    """One figure of a page; None where it was not measured."""
    return outcome.middle("console", _OURS, f"{page.key}_{name}")


def holds(outcome: Outcome, page: TimedPage) -> bool | None:
    """Whether the page answered, in its time, with few queries; None where it was not measured."""
    time = figure(outcome, page, "p95_milliseconds")
    if time is None:
        return None
    queries, status = figure(outcome, page, "queries"), figure(outcome, page, "status")
    return time <= page.most and queries is not None and queries <= MOST_QUERIES and status == _OK


def rows(outcome: Outcome) -> Sequence[Sequence[str]]:
    """A row for each page: its name, p50, p95, limit, queries, and whether the limits hold."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    return [
        [
            page.label,
            *(_shown(figure(outcome, page, name)) for name in ("p50_milliseconds", "p95_milliseconds")),
            f"{page.most}",
            _shown(figure(outcome, page, "queries")),
            words[holds(outcome, page)] + _answer(figure(outcome, page, "status")),
        ]
        for page in PAGES
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _answer(status: float | None) -> str:
    return "" if status in (None, _OK) else f" (answered {status:.0f})"
