"""What the benchmarks say of the pages of the operators' console."""

from __future__ import annotations

import pytest

from benchmarks.bars import bars
from benchmarks.console_pages import PAGES
from benchmarks.console_report import rows
from benchmarks.outcome import Outcome


def _outcome(**other: float) -> Outcome:
    """All pages within their limits, but for what is said otherwise."""
    figures: dict[str, float] = {}
    for page in PAGES:
        figures |= {f"{page.key}_p50_milliseconds": 20.0, f"{page.key}_p95_milliseconds": float(page.most)}
        figures |= {f"{page.key}_queries": 15, f"{page.key}_status": 200}
    outcome = Outcome()
    outcome.add("console", "ours_postgresql", figures | other)
    return outcome


def _bar(outcome: Outcome) -> tuple[str, bool | None]:
    return next((bar.shown, bar.reached) for bar in bars(outcome) if "pages of the console" in bar.what)


def test_pages_within_their_limits_reach_the_bar() -> None:
    assert _bar(_outcome()) == (f"0 of {len(PAGES)}", True)


@pytest.mark.parametrize(
    "other", [{"overview_p95_milliseconds": 151.0}, {"jobs_queries": 16}, {"job_status": 500}]
)
def test_a_page_over_a_limit_does_not(other: dict[str, float]) -> None:
    assert _bar(_outcome(**other)) == (f"1 of {len(PAGES)}", False)


def test_what_was_not_measured_is_not_judged() -> None:
    assert _bar(Outcome()) == ("–", None)


def test_each_page_has_a_row_with_its_limit() -> None:
    shown = rows(_outcome(overview_p95_milliseconds=151.0))
    assert [row[0] for row in shown] == [page.label for page in PAGES]
    assert list(shown[0][1:]) == ["20", "151", "150", "15", "**no**"]
