"""When a failed job runs again."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.exceptions import Discard, InvalidRetryPolicy, JobQueueError
from jobqueue.jobs import RetryPolicy, enqueue
from jobqueue.models import Job
from jobqueue.registry import delay_after, get_processor, processor
from tests.jobqueue.processors_for_tests import FAIL, FAIL_WITHOUT_RETRY, fail
from tests.jobqueue.steps import claim_row, run

ERROR = ValueError("broken")


def _middle(low: float, high: float) -> float:
    return (low + high) / 2


def _seconds(policy: RetryPolicy, failures: int) -> float | None:
    delay = policy.next_delay(failures, ERROR, _middle)
    return None if delay is None else delay.total_seconds()


def test_the_default_waits_one_two_and_four_seconds_and_gives_up() -> None:
    assert [_seconds(RetryPolicy(), failures) for failures in (1, 2, 3, 4)] == [1, 2, 4, None]


@pytest.mark.parametrize(("failures", "plain"), [(1, 1), (2, 2), (3, 4)])
def test_the_jitter_stays_within_a_fifth_of_the_wait(failures: int, plain: float) -> None:
    policy = RetryPolicy()
    shortest = policy.next_delay(failures, ERROR, lambda low, high: low)
    longest = policy.next_delay(failures, ERROR, lambda low, high: high)

    assert shortest == timedelta(seconds=plain * 0.8)
    assert longest == timedelta(seconds=plain * 1.2)


def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    assert len({RetryPolicy().next_delay(1, ERROR) for _ in range(20)}) > 1


@given(
    failures=st.integers(1, 10_000),
    max_retries=st.integers(0, 10_000),
    first=st.floats(0, 10**6),
    factor=st.floats(1, 100),
    jitter=st.floats(0, 0.99),
    longest=st.floats(0.001, 10**8),
)
def test_every_policy_gives_up_after_its_retries_and_waits_within_its_bounds_before(
    failures: int, max_retries: int, first: float, factor: float, jitter: float, longest: float
) -> None:
    policy = RetryPolicy(max_retries, timedelta(seconds=first), factor, jitter, timedelta(seconds=longest))

    delay = policy.next_delay(failures, ERROR)

    if failures > max_retries:
        assert delay is None
    else:
        assert delay is not None
        tolerance = timedelta(microseconds=2)
        assert timedelta(0) <= delay <= policy.max_delay * (1 + jitter) + tolerance
        if first <= longest:
            assert delay >= policy.first_delay * (1 - jitter) - tolerance


@given(st.integers(1, 50), st.floats(1, 10))
def test_a_later_retry_never_waits_less_than_an_earlier_one(failures: int, factor: float) -> None:
    policy = RetryPolicy(max_retries=100, factor=factor, jitter=0)
    earlier, later = _seconds(policy, failures), _seconds(policy, failures + 1)

    assert earlier is not None
    assert later is not None
    assert earlier <= later


def test_a_wait_never_exceeds_the_longest() -> None:
    policy = RetryPolicy(max_retries=50, max_delay=timedelta(minutes=1))

    assert _seconds(policy, 50) == 60


def test_the_first_wait_does_not_exceed_the_longest_either() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=10), max_delay=timedelta(seconds=5))

    assert _seconds(policy, 1) == 5


def test_ten_thousand_failures_do_not_overflow() -> None:
    policy = RetryPolicy(max_retries=10_000, factor=1e6)

    assert _seconds(policy, 10_000) == timedelta(days=1).total_seconds()


def test_a_discarded_job_has_no_retry() -> None:
    assert RetryPolicy().next_delay(1, Discard("never")) is None


def test_without_retries_the_first_failure_is_the_last() -> None:
    assert _seconds(RetryPolicy(max_retries=0), 1) is None


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"max_retries": -1}, "max_retries must be 0 or more, not -1"),
        ({"factor": 0.5}, "factor must be 1 or more, not 0.5"),
        ({"jitter": 1}, "jitter must be at least 0 and below 1, not 1"),
        ({"jitter": -0.1}, "jitter must be at least 0 and below 1, not -0.1"),
        ({"first_delay": 5}, "first_delay must be a timedelta of 0 or more, not 5"),
        ({"first_delay": timedelta(-1)}, "first_delay must be a timedelta of 0 or more"),
        ({"max_delay": 5.5}, "max_delay must be a timedelta of 0 or more, not 5.5"),
        ({"max_retries": True}, "max_retries must be 0 or more, not True"),
        ({"max_retries": "3"}, "max_retries must be 0 or more, not '3'"),
        ({"max_retries": 2.5}, "max_retries must be 0 or more, not 2.5"),
        ({"max_retries": 10**7}, "a whole number up to 1000000"),
        ({"max_retries": None}, "max_retries must be 0 or more, not None"),
        ({"factor": math.nan}, "factor must be 1 or more, not nan"),
        ({"factor": math.inf}, "factor must be 1 or more, not inf"),
        ({"factor": "2"}, "factor must be 1 or more, not '2'"),
        ({"jitter": math.nan}, "jitter must be at least 0 and below 1, not nan"),
        ({"jitter": False}, "jitter must be at least 0 and below 1, not False"),
        ({"jitter": "0.2"}, "jitter must be at least 0 and below 1"),
        ({"first_delay": timedelta.max}, "first_delay must be a timedelta .*at most 36500 days"),
        ({"max_delay": timedelta.max}, "max_delay must be a timedelta .*at most 36500 days"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRetryPolicy, match=complaint):
        RetryPolicy(**values)


def test_the_settings_override_the_policy_of_one_processor(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"PROCESSOR_RETRY": {FAIL_WITHOUT_RETRY: {"max_retries": 9}}}

    assert get_processor(FAIL_WITHOUT_RETRY).retry_policy.max_retries == 9
    assert get_processor(FAIL).retry_policy.max_retries == 3


def test_a_processor_without_a_policy_has_the_one_of_the_settings(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RETRY": {"max_retries": 1}}

    assert get_processor(FAIL).retry_policy == RetryPolicy(max_retries=1)


def test_the_policy_in_code_wins_over_the_general_one(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RETRY": {"max_retries": 5}}

    assert get_processor(FAIL_WITHOUT_RETRY).retry_policy.max_retries == 0


def test_a_refused_policy_is_an_error_of_the_job_queue_and_of_a_value() -> None:
    assert issubclass(InvalidRetryPolicy, JobQueueError)
    assert issubclass(InvalidRetryPolicy, ValueError)


# A policy of a project's own ----------------------------------------------------------------------


class OfOurOwn(RetryPolicy):
    """A policy whose answer is that of the test."""

    answer: Any = None

    def next_delay(self, failures: int, error: BaseException, uniform: Any = None) -> timedelta | None:
        """What the test says."""
        return self.answer()  # type: ignore[no-any-return]


def _raises() -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("answer", "shortest", "longest"),
    [
        (_raises, 0.8, 1.2),
        (lambda: "soon", 0.8, 1.2),
        (lambda: 5, 0.8, 1.2),
        (lambda: timedelta.max, 36_500 * 86_400, 36_500 * 86_400),
        (lambda: timedelta(-1), 0, 0),
        (lambda: timedelta(seconds=9), 9, 9),
    ],
)
def test_whatever_a_policy_does_the_wait_is_one_that_can_be_written(
    monkeypatch: pytest.MonkeyPatch, answer: Any, shortest: float, longest: float
) -> None:
    monkeypatch.setattr(OfOurOwn, "answer", staticmethod(answer))
    processor("sample.own_policy", queue="email", retry=OfOurOwn())(fail)
    delay = delay_after("sample.own_policy", 1, ERROR)

    assert delay is not None
    assert shortest <= delay.total_seconds() <= longest


@pytest.mark.django_db
def test_a_job_whose_policy_raises_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OfOurOwn, "answer", staticmethod(_raises))
    processor("sample.own_policy", queue="email", retry=OfOurOwn())(fail)
    job = enqueue("sample.own_policy")
    run(claim_row(job))
    row = Job.objects.get(pk=job.pk)

    assert (row.state, row.failures, row.attempt) == ("waiting", 1, 2)
