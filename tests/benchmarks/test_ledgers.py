"""A benchmark counts for nothing unless every job ran once."""

import pytest

from benchmarks.ledgers import check_all_ran, once_each
from benchmarks.processes import BenchmarkFailed


def test_runs_are_read_by_number() -> None:
    assert once_each([(1, 2.5), (0, 2.0)]) == {0: 2.0, 1: 2.5}


def test_a_job_that_ran_twice_fails_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="1 jobs ran twice, among them number 3"):
        once_each([(3, 1.0), (4, 1.0), (3, 2.0)])


def test_a_job_that_did_not_run_fails_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="1 of 3 jobs did not run, among them number 1"):
        check_all_ran({0: 1.0, 2: 1.0}, 3)


def test_a_job_that_nobody_asked_for_fails_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="1 jobs ran that nobody asked for"):
        check_all_ran({0: 1.0, 1: 1.0, 2: 1.0}, 2)


def test_all_jobs_ran() -> None:
    check_all_ran({0: 1.0, 1: 1.0}, 2)
