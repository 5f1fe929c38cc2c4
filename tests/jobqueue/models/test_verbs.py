"""What people do to jobs: retry, cancel, run now; one job or many."""

from __future__ import annotations

import pytest
from django.utils import translation

from jobqueue.delivery import rescue
from jobqueue.exceptions import JobTransitionRefused, UnknownQueue
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.jobqueue.models.steps import all_states, in_state
from tests.jobqueue.processors_for_tests import FAIL_WITHOUT_RETRY, SUCCEED
from tests.jobqueue.steps import OTHER_IDENTITY, claim_row, claimed, run

pytestmark = pytest.mark.django_db

State = Job.State


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_job_that_failed_or_was_cancelled_can_be_retried(state: str) -> None:
    job = in_state(state)
    job.retry()

    assert (job.state, job.attempt, job.failures, job.published_at) == (State.WAITING, 2, 0, None)
    assert Job.objects.due().get() == job


def test_a_retried_job_has_its_full_budget_and_keeps_what_went_wrong_before() -> None:
    job = claimed(FAIL_WITHOUT_RETRY)
    run(job)
    job.retry()
    run(claim_row(job))

    assert list(job.attempts.values_list("number", flat=True)) == [1, 2]


@pytest.mark.parametrize("state", [State.WAITING, State.ACTIVE, State.COMPLETED])
def test_a_job_in_another_state_cannot_be_retried(state: str) -> None:
    job = in_state(state)

    with pytest.raises(
        JobTransitionRefused,
        match=f"job {job.pk} is {state} and cannot be retried; that takes a job that is failed or cancelled",
    ):
        job.retry()


def test_a_refusal_is_told_in_the_language_of_who_asked() -> None:
    job = in_state(State.ACTIVE)
    with translation.override("de"), pytest.raises(JobTransitionRefused) as refused:
        job.cancel()
    assert str(refused.value).startswith(f"Auftrag {job.pk} ist aktiv und lässt sich nicht abbrechen")


@pytest.mark.parametrize("state", [State.ACTIVE, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_job_that_does_not_wait_cannot_be_cancelled(state: str) -> None:
    job = in_state(state)

    with pytest.raises(JobTransitionRefused, match=f"is {state} and cannot be cancelled; .* waiting"):
        job.cancel()


@pytest.mark.parametrize("state", [State.ACTIVE, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_job_that_does_not_wait_cannot_be_run_now(state: str) -> None:
    job = in_state(state)

    with pytest.raises(JobTransitionRefused, match=f"is {state} and cannot be run now"):
        job.run_now()


def test_a_delayed_job_can_be_run_now() -> None:
    job = enqueue(SUCCEED, delay=600)
    job.run_now()

    assert Job.objects.due().get() == job


def test_a_verb_looks_at_the_row_and_not_at_the_instance() -> None:
    stale = enqueue(SUCCEED)
    claim_row(stale)

    with pytest.raises(JobTransitionRefused):
        stale.cancel()
    assert stale.state == State.ACTIVE


def test_a_long_reason_is_cut() -> None:
    job = enqueue(SUCCEED)
    job.cancel("x" * 1000)

    assert job.reason == "x" * 500


def test_a_cancelled_job_whose_key_is_held_by_another_can_be_retried() -> None:
    cancelled = enqueue(SUCCEED, unique_key="key")
    cancelled.cancel()
    holder = enqueue(SUCCEED, unique_key="key")
    cancelled.retry()

    assert set(Job.objects.due()) == {cancelled, holder}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_verb_works_in_the_database_that_the_job_came_from() -> None:
    job = enqueue(SUCCEED, using="other", delay=60)
    Job.objects.using("other").get(pk=job.pk).cancel()

    assert Job.objects.using("other").get().state == State.CANCELLED


def test_retry_all_takes_the_failed_and_the_cancelled() -> None:
    jobs = all_states()

    assert Job.objects.all().retry_all() == 2
    assert set(Job.objects.filter(attempt=2)) == {jobs["failed"], jobs["cancelled"]}


def test_retry_all_takes_cancelled_jobs_of_one_key() -> None:
    for _ in range(2):
        enqueue(SUCCEED, unique_key="key").cancel()

    assert Job.objects.all().retry_all() == 2


def test_cancel_all_takes_the_waiting() -> None:
    jobs = all_states()

    assert Job.objects.all().cancel_all("enough") == 2
    assert set(Job.objects.filter(reason="enough")) == {jobs["waiting"], jobs["delayed"]}


def test_run_all_now_takes_the_delayed() -> None:
    jobs = all_states()

    assert Job.objects.all().run_all_now() == 1
    assert jobs["delayed"] in Job.objects.due()


def test_a_bulk_verb_stays_within_its_query() -> None:
    one, other = enqueue(SUCCEED, delay=600), enqueue(SUCCEED, delay=600)

    assert Job.objects.filter(pk=one.pk).cancel_all("enough") == 1
    other.refresh_from_db()
    assert other.state == State.WAITING


def test_release_is_a_verb_for_active_jobs_of_any_worker() -> None:
    claimed(), claimed(identity=OTHER_IDENTITY)

    assert rescue.release(Job.objects.all()) == 2


def test_waiting_jobs_move_to_a_queue_that_is_there_and_are_published_anew() -> None:
    waiting, ended = enqueue(SUCCEED), enqueue(SUCCEED)
    Job.objects.update(queue="letters")
    Job.objects.filter(pk=ended.pk).update(state=Job.State.COMPLETED)

    assert Job.objects.filter(queue="letters").move_to("reminders") == 1

    waiting.refresh_from_db()
    assert (waiting.queue, waiting.published_at) == ("reminders", None)


def test_jobs_do_not_move_to_a_queue_that_is_not_there() -> None:
    with pytest.raises(UnknownQueue, match="RQ_QUEUES has"):
        Job.objects.all().move_to("letters")
