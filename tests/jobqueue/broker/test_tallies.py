"""Percentiles of amounts in buckets."""

from __future__ import annotations

import pytest

from jobqueue.broker.tallies import BOUNDS, BUCKETS, Tally, bucket_of, percentile


def test_nothing_has_no_percentile() -> None:
    assert percentile([0] * BUCKETS, 0.5) is None


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_lies_in_the_bucket_of_what_it_is_of(share: float) -> None:
    buckets = [0] * BUCKETS
    for thousandth in range(1000):
        buckets[bucket_of(thousandth / 1000)] += 1

    found = percentile(buckets, share)

    assert found is not None and abs(found - share) < 0.05


def test_what_took_longer_than_the_last_bound_is_that_long_at_least() -> None:
    buckets = [0] * BUCKETS
    buckets[bucket_of(1e9)] = 1

    assert percentile(buckets, 0.5) == BOUNDS[-1]


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("-inf")])
def test_what_took_no_time_is_in_the_first_bucket(seconds: float) -> None:
    assert bucket_of(seconds) == 0


def test_tallies_add_up() -> None:
    one, other = Tally(1), Tally(2)
    one.runs[3], other.runs[3], other.waits[1] = 1, 2, 2

    one.add(other)

    assert (one.jobs, one.runs[3], one.waits[1]) == (3, 3, 2)
