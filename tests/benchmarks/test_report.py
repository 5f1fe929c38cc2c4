"""What the benchmarks write down."""

from pathlib import Path

import pytest

from benchmarks.bars import bars
from benchmarks.outcome import Outcome
from benchmarks.plan import MEASURES, measures
from benchmarks.report import factor, markdown, table


@pytest.fixture
def outcome() -> Outcome:
    """Three rounds of two peers."""
    found = Outcome(labels={"stock": "stock RQ", "ours_postgresql": "this worker"})
    for stock, ours in ((50, 6000), (60, 9000), (40, 4000)):
        for peer, rate, cpu in (("stock", stock, 14_000), ("ours_postgresql", ours, 140)):
            found.add(
                "noop",
                peer,
                {
                    "jobs_per_second": rate,
                    "worker_cpu_microseconds": cpu,
                    "redis_cpu_microseconds": 20,
                    "postgresql_cpu_microseconds": 0,
                    "memory_megabytes": 50,
                    "processes": 2,
                    "jobs": 1000,
                },
            )
    return found


def bar_of(outcome: Outcome, what: str) -> tuple[str, bool | None]:
    """The text and the verdict of one bar."""
    return next((bar.shown, bar.reached) for bar in bars(outcome) if what in bar.what)


def test_ratios_are_between_medians(outcome: Outcome) -> None:
    assert outcome.times("noop", "ours_postgresql", "stock", "jobs_per_second") == 6000 / 50


def test_a_ratio_without_its_base_is_none(outcome: Outcome) -> None:
    assert outcome.times("noop", "ours_postgresql", "bull_50", "jobs_per_second") is None


def test_a_bar_that_is_reached_says_so(outcome: Outcome) -> None:
    assert bar_of(outcome, "no-op, PostgreSQL") == ("120 ×", True)
    assert bar_of(outcome, "worker CPU") == ("1/100", True)


def test_a_bar_that_is_not_reached_says_so(outcome: Outcome) -> None:
    for figures in outcome.rounds["noop"]["ours_postgresql"]:
        figures["jobs_per_second"] /= 2

    assert bar_of(outcome, "no-op, PostgreSQL") == ("60 ×", False)


def test_a_bar_without_figures_is_not_measured(outcome: Outcome) -> None:
    assert bar_of(outcome, "e-mail job") == ("–", None)


def test_one_early_job_in_any_round_misses_the_bar(outcome: Outcome) -> None:
    for earliest in (0.4, -0.1, 0.3):
        outcome.add("delayed", "ours_postgresql", {"earliest_milliseconds": earliest, "samples": 10})

    assert bar_of(outcome, "earliest start") == ("-0.10 ms", False)


def test_growth_is_from_ten_thousand_to_a_million(outcome: Outcome) -> None:
    sizes = {1_000: 1.0, 10_000: 2.0, 100_000: 9.0, 1_000_000: 2.5}
    outcome.add("crowd", "ours_postgresql", {f"claim_milliseconds_{size}": ms for size, ms in sizes.items()})

    assert bar_of(outcome, "claim and complete") == ("1.25 ×", True)


def test_a_page_that_is_refused_among_a_million_jobs_misses_the_bar(outcome: Outcome) -> None:
    outcome.add(
        "crowd",
        "ours_postgresql",
        {"health_milliseconds_10000": 9.0, "health_milliseconds_1000000": 9.0, "health_refused_1000000": 2},
    )

    assert bar_of(outcome, "/health/queues") == ("1.00 ×, refused", False)
    assert "9.00 (refused)" in markdown(outcome)


def test_a_lost_job_misses_the_bar(outcome: Outcome) -> None:
    assert bar_of(outcome, "lost or doubled") == ("0 of 6,000", True)

    outcome.failures.append("noop, round 1, stock: 2 of 300 jobs did not run, among them number [7]")

    assert bar_of(outcome, "lost or doubled") == ("see the 1 failures", False)


def test_the_report_puts_ratios_first(outcome: Outcome) -> None:
    lines = markdown(outcome).splitlines()

    assert lines[0] == "# Results"
    row = next(line for line in lines if line.startswith("| this worker"))
    assert row == "| this worker | 120 | 6,000 | 83 % | 140 | 20 | 0 | 50 | 2 |"


def test_the_report_names_failures(outcome: Outcome) -> None:
    outcome.failures.append("io5, round 2, stock: broken\nand a long log")

    assert "- io5, round 2, stock: broken\n" in markdown(outcome)
    assert "long log" not in markdown(outcome)


def test_a_partial_run_is_marked(outcome: Outcome) -> None:
    outcome.machine = dict.fromkeys(("started", "processor", "memory", "system", "versions"), "") | {
        "cores": 2,
        "load": 0.1,
        "flush_milliseconds": 0.5,
        "rounds": 3,
        "minutes": 1.0,
    }
    outcome.is_whole = False

    assert "Not a whole run" in markdown(outcome)


def test_an_outcome_survives_its_file(outcome: Outcome, tmp_path: Path) -> None:
    outcome.write(tmp_path / "results.json")

    assert Outcome.read(tmp_path / "results.json") == outcome


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table(["", "jobs/s"], [["stock", "70"]]) == "|  | jobs/s |\n| --- | --: |\n| stock | 70 |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(141.3, "141"), (1.052, "1.05"), (0.00321, "0.00321"), (12_345.6, "12,346"), (None, "–")],
)
def test_a_factor_has_three_significant_digits(value: float | None, text: str) -> None:
    assert factor(value) == text


def test_every_measure_has_a_title() -> None:
    assert [measure.key for measure in measures(1)] == list(MEASURES)


@pytest.mark.parametrize(
    ("counted", "shown", "is_cheap"),
    [((98, 98, 98), "2.0 %, spread 0.0 %", True), ((90, 90, 90), "11.1 %, spread 0.0 %", False)],
)
def test_counters_cost_what_a_job_takes_longer_with_them(
    counted: tuple[int, ...], shown: str, is_cheap: bool
) -> None:
    outcome = Outcome()
    for rate in counted:
        outcome.add("counters", "ours_postgresql", {"jobs_per_second": rate})
        outcome.add("counters", "ours_uncounted", {"jobs_per_second": 100})

    assert bar_of(outcome, "counters of the charts") == (shown, is_cheap)
