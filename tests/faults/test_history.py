"""The checker of the chaos trials finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.soak.history import Effect, History, JobRecord, Verdict, check


def history(**changes: Any) -> History:
    """Two promised effects that were had once each, by two completed jobs; with changes."""
    good: dict[str, Any] = {
        "promised": {"a", "b"},
        "effects": [Effect("a", "1"), Effect("b", "2")],
        "jobs": [JobRecord(1, "a", "completed"), JobRecord(2, "b", "completed")],
    }
    return History(**good | changes)


def found(verdict: Verdict) -> list[tuple[str, int]]:
    """What a verdict is not content with, and how often."""
    names = ("lost", "doubled", "phantom", "in_doubt")
    return [(name, len(getattr(verdict, name))) for name in names if getattr(verdict, name)]


def test_a_good_history_is_clean() -> None:
    verdict = check(history())

    assert verdict.is_clean
    assert found(verdict) == []


def test_a_promised_effect_that_is_missing_is_lost() -> None:
    verdict = check(history(effects=[Effect("a", "1")]))

    assert found(verdict) == [("lost", 1)]
    assert not verdict.is_clean


def test_an_effect_that_is_there_twice_is_doubled() -> None:
    verdict = check(history(effects=[Effect("a", "1"), Effect("b", "2"), Effect("b", "2")]))

    assert found(verdict) == [("doubled", 1)]
    assert not verdict.is_clean


def test_a_second_effect_of_one_kind_is_doubled() -> None:
    verdict = check(history(effects=[Effect("a", "1"), Effect("b", "2"), Effect("b", "3")]))

    assert found(verdict) == [("doubled", 1)]


def test_a_repeat_of_an_effect_that_was_tried_again_is_in_doubt() -> None:
    verdict = check(history(effects=[Effect("a", "1"), Effect("b", "2"), Effect("b", "2")], tries={"2": 2}))

    assert found(verdict) == [("in_doubt", 1)]
    assert verdict.is_clean


def test_more_repeats_than_tries_are_doubled() -> None:
    effects = [Effect("a", "1"), *[Effect("b", "2")] * 3]
    verdict = check(history(effects=effects, tries={"2": 2}))

    assert found(verdict) == [("doubled", 1)]


def test_a_second_effect_is_doubled_however_often_it_was_tried() -> None:
    effects = [Effect("a", "1"), Effect("b", "2"), Effect("b", "3")]
    verdict = check(history(effects=effects, tries={"2": 2, "3": 2}))

    assert found(verdict) == [("doubled", 1)]


def test_an_effect_that_nobody_asked_for_is_a_phantom() -> None:
    verdict = check(history(promised={"a"}))

    assert found(verdict) == [("phantom", 1)]
    assert not verdict.is_clean


def test_an_effect_that_is_allowed_may_be_there_or_not() -> None:
    assert check(history(promised={"a"}, allowed={"b", "c"})).is_clean


def test_an_allowed_effect_that_is_there_twice_is_doubled() -> None:
    effects = [Effect("a", "1"), Effect("b", "2"), Effect("b", "2")]

    assert found(check(history(promised={"a"}, allowed={"b"}, effects=effects))) == [("doubled", 1)]


@pytest.mark.parametrize("state", ["waiting", "active"])
def test_a_job_that_never_ended_is_lost(state: str) -> None:
    jobs = [JobRecord(1, "a", "completed"), JobRecord(2, "b", state)]

    assert found(check(history(jobs=jobs))) == [("lost", 1)]


def test_a_job_that_failed_is_lost() -> None:
    assert found(check(history(jobs=[JobRecord(1, "a", "failed")]))) == [("lost", 1)]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_job_may_end_as_it_is_meant_to(state: str) -> None:
    assert check(history(jobs=[JobRecord(1, "a", state, may_fail=True)])).is_clean


def test_the_report_says_how_late_jobs_started() -> None:
    jobs = [JobRecord(number, "a", "completed", lateness=number / 10) for number in range(101)]

    report = check(history(jobs=jobs)).report()

    assert "5.00 s median, 9.90 s p99, 10.00 s at most" in report


def test_the_report_counts_and_names_what_is_wrong() -> None:
    report = check(history(effects=[Effect("a", "1"), Effect("a", "1")])).report()

    assert "lost        1\n  no effect: b" in report
    assert "doubled     1\n  a: 2 times" in report
