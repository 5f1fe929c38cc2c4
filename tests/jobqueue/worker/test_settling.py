"""What outcomes do to the rows, and who hears of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.dispatch import Signal

from jobqueue import signals
from jobqueue.broker import counters
from jobqueue.models import Attempt, Job
from jobqueue.sql.clock import database_now
from jobqueue.worker import performing, settling
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome
from tests.jobqueue.processors_for_tests import (
    CALL,
    COUNTED,
    DISCARD,
    FAIL,
    FAIL_WITHOUT_RETRY,
    RETRY_LATER,
    SKIP,
    SUCCEED,
    Calls,
)
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, claimed, run, settle
from tests.jobqueue.worker.steps import listening, raising

pytestmark = pytest.mark.django_db

State = Job.State


def _perform(job: Job) -> Outcome:
    return performing.perform(Claim(job, "default"))


def test_a_completed_job_is_done() -> None:
    job = claimed()
    run(job)

    assert (job.state, job.reason, job.failures) == (State.COMPLETED, "", 0)
    assert job.finished_at is not None
    assert not job.attempts.exists()


def test_a_skipped_job_is_completed_and_says_why() -> None:
    job = claimed(SKIP)
    run(job)

    assert (job.state, job.reason, job.is_skipped) == (State.COMPLETED, "skipped: nothing to do", True)


def test_a_failed_attempt_puts_the_job_back_on_the_road_later() -> None:
    job = claimed(FAIL)
    run(job)

    assert (job.state, job.attempt, job.failures, job.published_at) == (State.WAITING, 2, 1, None)
    assert job.worker_id is None
    assert job.reason == "Broken: broken"
    assert timedelta(0) < job.run_at - database_now("default") <= timedelta(seconds=1.2)


def test_a_failed_attempt_leaves_what_went_wrong() -> None:
    job = claimed(FAIL)
    run(job)
    attempt = job.attempts.get()

    assert (attempt.number, attempt.error_class, attempt.message) == (1, "Broken", "broken")
    assert "raise Broken(message)" in attempt.traceback
    assert attempt.worker_name == IDENTITY.name
    assert attempt.started_at == job.started_at
    assert attempt.finished_at is not None


def test_a_discarded_job_keeps_its_error() -> None:
    job = claimed(DISCARD)
    run(job)

    assert (job.state, job.failures) == (State.FAILED, 1)
    assert job.attempts.get().error_class == "Discard"


@pytest.mark.parametrize(
    ("text", "kept"), [("a\x00b", "a\\x00b"), ("a\ud800b", "a\\ud800b"), ("ä😀", "ä😀"), ("", "")]
)
def test_any_text_of_an_error_can_be_written(sample_processors: Calls, text: str, kept: str) -> None:
    sample_processors.behaviour = raising(ValueError(text))
    job = claimed(CALL)
    run(job)

    assert job.attempts.get().message == kept


def test_an_error_of_a_megabyte_is_cut_to_its_end(sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(ValueError("x" * 1_000_000 + "the end"))
    job = claimed(CALL)
    run(job)
    attempt = job.attempts.get()

    assert attempt.message.startswith("… ")
    assert attempt.message.endswith("the end")
    assert len(attempt.message) <= 2_002
    assert len(attempt.traceback) <= 20_002
    assert len(job.reason) <= 500


def test_a_long_reason_for_skipping_is_cut() -> None:
    job = claimed(SKIP, reason="x" * 1000)
    run(job)

    assert len(job.reason) == 500


def test_outcomes_of_every_kind_are_settled_together(redis_client: redis.Redis) -> None:
    names = [SUCCEED, SUCCEED, SKIP, FAIL, DISCARD, RETRY_LATER]
    jobs = [claimed(name) for name in names]
    outcomes = [_perform(job) for job in jobs]

    assert {id(outcome) for outcome in settle(outcomes, IDENTITY)} == {id(each) for each in outcomes}
    states = [Job.objects.get(pk=job.pk).state for job in jobs]
    assert states == ["completed", "completed", "completed", "waiting", "failed", "waiting"]


def test_completed_jobs_of_one_kind_are_settled_with_one_statement(
    django_assert_num_queries: Callable[..., Any],
) -> None:
    outcomes = [_perform(claimed()) for _ in range(5)]

    with django_assert_num_queries(1):
        settle(outcomes, IDENTITY)


@pytest.mark.django_db(databases=["default", "other"])
def test_outcomes_of_two_databases_are_settled_where_they_belong() -> None:
    here, there = claimed(), claimed(FAIL, using="other")
    outcomes = [_perform(here), performing.perform(Claim(there, "other"))]
    settle(outcomes, IDENTITY)

    assert Job.objects.get().state == State.COMPLETED
    assert Job.objects.using("other").get().state == State.WAITING
    assert Attempt.objects.using("other").count() == 1


def _taken_by_another(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(worker_id=OTHER_IDENTITY.id)


def _in_another_attempt(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(attempt=2)


def _back_on_the_road(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state=State.WAITING, attempt=2, worker=None)


def _deleted(job: Job) -> None:
    Job.objects.filter(pk=job.pk).delete()


@pytest.mark.parametrize("take", [_taken_by_another, _in_another_attempt, _back_on_the_road, _deleted])
@pytest.mark.parametrize("name", [SUCCEED, SKIP, FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER])
def test_an_outcome_whose_claim_was_taken_away_changes_nothing(
    name: str, take: Callable[[Job], None]
) -> None:
    job = claimed(name)
    outcome = _perform(job)
    take(job)
    before = list(Job.objects.values())

    assert settle([outcome], IDENTITY) == []
    assert list(Job.objects.values()) == before
    assert not Attempt.objects.exists()
    assert counters.read() == {}


def test_a_lost_claim_does_not_keep_the_rest_of_its_batch_from_being_settled() -> None:
    lost, kept = claimed(), claimed()
    outcomes = [_perform(lost), _perform(kept)]
    _taken_by_another(lost)

    assert settle(outcomes, IDENTITY) == [outcomes[1]]
    assert Job.objects.get(pk=kept.pk).state == State.COMPLETED


@pytest.mark.parametrize("name", [FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER])
def test_settling_again_changes_nothing(name: str) -> None:
    job = claimed(name)
    outcome = _perform(job)
    settle([outcome], IDENTITY)
    before = list(Job.objects.values())

    assert settle([outcome], IDENTITY) == []
    assert list(Job.objects.values()) == before


def test_what_was_written_before_the_database_failed_is_counted_and_announced_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = [_perform(claimed()), _perform(claimed(FAIL))]
    settle_failure = settling._settle_failure

    def failing(*_: Any) -> bool:
        raise OperationalError("the database is away")

    with listening(signals.job_completed) as heard:
        monkeypatch.setattr(settling, "_settle_failure", failing)
        with pytest.raises(OperationalError):
            settle(outcomes, IDENTITY)
        monkeypatch.setattr(settling, "_settle_failure", settle_failure)
        settle(outcomes, IDENTITY)

    assert len(heard) == 1
    stored = counters.read()
    assert stored['["job_processing_total","email","completed"]'] == 1
    assert stored['["job_processing_total","email","retried"]'] == 1


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        (SUCCEED, signals.job_completed),
        (SKIP, signals.job_completed),
        (FAIL, signals.job_retried),
        (RETRY_LATER, signals.job_retried),
        (DISCARD, signals.job_failed),
    ],
)
def test_every_outcome_is_announced(name: str, signal: Signal) -> None:
    job = claimed(name)
    with listening(signal) as heard:
        outcome = run(job)

    assert [(details["job"], details["outcome"]) for details in heard] == [(job, outcome)]


def test_an_outcome_that_did_not_count_is_not_announced() -> None:
    job = claimed()
    outcome = _perform(job)
    _taken_by_another(job)
    with listening(signals.job_completed) as heard:
        settle([outcome], IDENTITY)

    assert heard == []


def test_a_broken_listener_cannot_fail_a_job() -> None:
    def listener(**_: Any) -> None:
        raise RuntimeError("broken")

    failing = (signals.job_started, signals.job_completed)
    for signal in failing:
        signal.connect(listener)
    job = claimed()
    try:
        run(job)
    finally:
        for signal in failing:
            signal.disconnect(listener)

    assert job.state == State.COMPLETED


def _uncountable() -> Outcome:
    """Its processor counts by a part of the payload, which is a list by now."""
    outcome = _perform(claimed(COUNTED, kind="sample"))
    outcome.job.payload = ["no object"]  # type: ignore[assignment]
    return outcome


def test_an_outcome_that_cannot_be_counted_is_settled_and_told_as_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcome = _uncountable()

    assert settle([outcome], IDENTITY) == [outcome]
    assert outcome.is_settled
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.message == (
        f"job {outcome.job.pk} is settled (completed), and only the counters lack it: AttributeError"
    )


def test_the_others_of_a_batch_are_counted(redis_client: redis.Redis) -> None:
    jobs = [claimed(COUNTED, kind="sample") for _ in range(2)]
    outcomes = [_perform(jobs[0]), _uncountable(), _perform(jobs[1])]

    assert settle(outcomes, IDENTITY) == outcomes
    assert counters.read()['["sample_runs_total","sample","completed"]'] == 2
    assert redis_client.zcard("rq:wip:email") == 0


def test_an_outcome_whose_claim_was_taken_away_is_not_settled() -> None:
    job = claimed()
    outcome = _perform(job)
    _taken_by_another(job)
    settle([outcome], IDENTITY)

    assert not outcome.is_settled
