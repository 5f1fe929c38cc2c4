"""Retries, time limits, counters and reconcilers as they are registered."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue import registry
from jobqueue.exceptions import InvalidProcessor, InvalidReconciler
from jobqueue.jobs import RetryPolicy, TypeCounter, processor, reconciler
from tests.jobqueue.processors_for_tests import succeed
from tests.jobqueue.registered import GENERATORS, Shop, coroutine, in_passing, register

LONGEST = 100 * 365 * 24 * 3600


# Retries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "policy"),
    [
        (0, RetryPolicy(0)),
        (3, RetryPolicy(3)),
        ({"max_retries": 5, "jitter": 0}, RetryPolicy(5, jitter=0)),
        ({}, RetryPolicy()),
        (RetryPolicy(7), RetryPolicy(7)),
    ],
)
def test_a_number_of_retries_is_a_policy(retry: Any, policy: RetryPolicy) -> None:
    assert register(succeed, retry=retry).retry_policy == policy


@pytest.mark.parametrize(
    ("retry", "why"),
    [
        (True, "retry must be a RetryPolicy, a whole number of retries"),
        (-1, "retry max_retries must be 0 or more, not -1"),
        (3.0, "retry must be a RetryPolicy"),
        ("3", "retry must be a RetryPolicy"),
        (timedelta(seconds=1), "retry must be a RetryPolicy"),
        (RetryPolicy, "retry must be a RetryPolicy"),
        ({"retries": 3}, "retry has 'retries', which RetryPolicy does not take; did you mean 'max_retries'"),
        ({"max_retries": "x"}, "retry max_retries must be 0 or more, not 'x'"),
        ({5: 1}, "retry has 5, which RetryPolicy does not take"),
    ],
)
def test_retries_that_make_no_sense_are_refused(retry: Any, why: str) -> None:
    with pytest.raises(InvalidProcessor, match=f"processor 'sample.trial': {why}"):
        register(succeed, retry=retry)


# Time limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timeout",
    ["3m", "", -5, 0, -0.0, math.inf, -math.inf, math.nan, True, False, 10**12, 10**400, [5], 5j]
    + [timedelta(0), timedelta(seconds=-1), timedelta.max],
)
def test_a_time_limit_that_makes_no_sense_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidProcessor, match="timeout must be a number of seconds above 0, at most"):
        register(succeed, timeout=timeout)


@pytest.mark.parametrize("timeout", [1e-9, timedelta(microseconds=1)])
def test_a_time_limit_in_which_nothing_can_be_done_is_refused(timeout: Any) -> None:
    with pytest.raises(
        InvalidProcessor, match=r"processor 'sample.trial': timeout must be 0.001 seconds or more"
    ):
        register(succeed, timeout=timeout)


@given(st.one_of(st.floats(1e-3, LONGEST), st.integers(1, LONGEST)))
def test_every_other_time_limit_is_taken_in_seconds(seconds: float) -> None:
    assert register(succeed, timeout=seconds).time_limit == seconds
    assert register(succeed, timeout=timedelta(seconds=1)).time_limit == 1


@given(st.one_of(st.floats(), st.integers(), st.text(), st.timedeltas(), st.booleans(), st.binary()))
def test_a_time_limit_is_refused_with_the_named_error_or_usable(timeout: Any) -> None:
    try:
        limit = register(succeed, timeout=timeout).time_limit
    except InvalidProcessor:
        return
    assert 0 < limit <= LONGEST


# Counters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", ["runs_total", 5, {"name": "runs_total"}, TypeCounter])
def test_a_counter_that_is_none_is_refused(counter: Any) -> None:
    with pytest.raises(InvalidProcessor, match="counter must be a TypeCounter"):
        register(succeed, counter=counter)


@pytest.mark.parametrize("name", ["", "runs total", "1_total", "läufe_total", "runs-total", 'a"b', None, 5])
def test_a_counter_whose_name_would_spoil_the_metrics_is_refused(name: Any) -> None:
    with pytest.raises(InvalidProcessor, match="a counter's name must be letters, digits and underscores"):
        TypeCounter(name)


@pytest.mark.parametrize("name", ["job_processing_total", "jobqueue_jobs", "job_processing_duration_seconds"])
def test_a_counter_with_the_name_of_one_of_ours_is_refused(name: str) -> None:
    with pytest.raises(InvalidProcessor, match="must not start with job_processing_ or jobqueue_"):
        TypeCounter(name)


@pytest.mark.parametrize("arguments", [{"payload_key": 5}, {"value": None}])
def test_a_counter_whose_type_is_no_text_is_refused(arguments: Any) -> None:
    with pytest.raises(InvalidProcessor, match="of counter 'runs_total' must be text"):
        TypeCounter("runs_total", **arguments)


@pytest.mark.parametrize("known", ["initial", None, 5, ("initial", 5), ("a\ud800",), {"initial": 1}])
def test_a_counter_whose_known_types_are_no_texts_is_refused(known: Any) -> None:
    with pytest.raises(InvalidProcessor, match="what counter 'runs_total' has as known must be a tuple"):
        TypeCounter("runs_total", payload_key="kind", known=known)


@pytest.mark.parametrize("value", ["\ud800", "a\nb", "\x00"])
def test_a_counter_whose_value_could_not_be_written_is_refused(value: str) -> None:
    with pytest.raises(InvalidProcessor, match="the value of counter 'runs_total' must be printable text"):
        TypeCounter("runs_total", value=value)


# Reconcilers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [*GENERATORS.values(), coroutine, in_passing(coroutine), Shop, None, lambda: {}, lambda one: {}],
)
def test_a_reconciler_that_could_not_run_is_refused(function: Any) -> None:
    with pytest.raises(InvalidReconciler, match="reconciler 'sample': the function"):
        reconciler("sample")(function)


@pytest.mark.parametrize("name", [succeed, 5, None, ""])
def test_a_reconciler_without_a_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidReconciler, match="called with a name|the name of a reconciler must be text"):
        reconciler(name)


def test_two_counters_that_would_be_shown_under_one_name_are_refused() -> None:
    register(succeed, counter=TypeCounter("shipped_total"))

    with pytest.raises(InvalidProcessor, match="would be shown as shipped_total, as 'shipped_total' of"):
        processor("sample.other_counter", queue="email", counter=TypeCounter("shipped"))(succeed)


def test_two_processors_may_share_a_counter() -> None:
    register(succeed, counter=TypeCounter("shipped_total", value="one"))
    try:
        processor("sample.sharing", queue="email", counter=TypeCounter("shipped_total", value="two"))(succeed)
    finally:
        registry.unregister("sample.sharing")
