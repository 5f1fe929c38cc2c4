"""The arithmetic of the benchmarks."""

import math

import pytest

from benchmarks.figures import middle_spread, percentile, ratio, spread


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (99, 99), (100, 100), (1, 1), (0, 1), (99.5, 100)]
)
def test_a_percentile_is_the_sample_of_the_nearest_rank(percent: float, expected: float) -> None:
    samples = [float(number) for number in range(100, 0, -1)]

    assert percentile(samples, percent) == expected


def test_a_percentile_of_one_sample_is_that_sample() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_a_ratio_to_nothing_is_not_a_number() -> None:
    assert ratio(6, 3) == 2
    assert math.isnan(ratio(6, 0))


def test_the_spread_is_relative_to_the_median() -> None:
    assert spread([90, 100, 120]) == pytest.approx(0.3)


def test_the_middle_spread_leaves_out_one_round_that_was_disturbed() -> None:
    assert middle_spread([99, 100, 100, 101, 50]) == pytest.approx(0.01)
    assert middle_spread([7]) == 0
