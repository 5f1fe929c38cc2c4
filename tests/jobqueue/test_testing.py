"""Jobs run inside a test, without Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobqueue import testing
from jobqueue.exceptions import CannotRun, InvalidPayload, JobIsHeld, UnknownProcessor
from jobqueue.jobs import RetryLater, enqueue
from jobqueue.models import Job, holding
from jobqueue.testing import drain, run_job
from jobqueue.worker.outcomes import OutcomeStatus
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.processors_for_tests import CALL, FAIL, RETRY_LATER, SUCCEED, TAKES_A_NUMBER, Calls

pytestmark = pytest.mark.django_db

Status = OutcomeStatus


def test_every_due_job_runs_in_the_order_of_its_time(sample_processors: Calls, redis_closed: object) -> None:
    for number in range(3):
        enqueue(CALL, number=number)

    assert [outcome.status for outcome in drain()] == [Status.COMPLETED] * 3
    assert [payload["number"] for payload in sample_processors.payloads] == [0, 1, 2]


def test_jobs_that_jobs_lead_to_run_too(sample_processors: Calls) -> None:
    sample_processors.behaviour = lambda **_: enqueue(SUCCEED) and None
    enqueue(CALL)

    assert [outcome.job.processor for outcome in drain()] == [CALL, SUCCEED]


def test_delayed_jobs_wait() -> None:
    enqueue(SUCCEED, delay=60)

    assert drain() == []


def test_delayed_jobs_up_to_a_time_run() -> None:
    enqueue(SUCCEED, delay=60)
    later = enqueue(SUCCEED, delay=6000)

    assert len(drain(until=timezone.now() + timedelta(minutes=2))) == 1
    assert list(Job.objects.waiting()) == [later]


def test_a_failing_job_runs_until_its_budget_is_used_up() -> None:
    job = enqueue(FAIL)

    assert [outcome.status for outcome in drain()] == [Status.RETRIED] * 3 + [Status.FAILED]
    assert job.attempts.count() == 4


def test_without_retries_a_failing_job_runs_once() -> None:
    enqueue(FAIL)

    assert [outcome.status for outcome in drain(retries=False)] == [Status.RETRIED]


def test_a_job_that_asks_for_another_time_waits_for_it() -> None:
    enqueue(RETRY_LATER)

    assert len(drain()) == 1


def test_a_job_that_asks_for_another_time_because_of_an_error_does_not_run_again_at_once(
    sample_processors: Calls,
) -> None:
    def behaviour(**_: Any) -> None:
        raise RetryLater(60, error=ConnectionError("away"))

    sample_processors.behaviour = behaviour
    job = enqueue(CALL)

    assert [outcome.status for outcome in drain()] == [Status.RETRIED]
    assert (job.attempts.count(), drain()) == (1, [])


@pytest.mark.django_db(databases=["default", "other"])
def test_jobs_of_another_database_run_there() -> None:
    enqueue(SUCCEED, using="other")

    assert drain() == []
    assert len(drain(using="other")) == 1


def test_jobs_that_enqueue_each_other_without_end_are_an_error(
    sample_processors: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "_MOST_JOBS", 10)
    sample_processors.behaviour = lambda **_: enqueue(CALL) and None
    enqueue(CALL)

    with pytest.raises(AssertionError, match="enqueue each other without end"):
        drain()


def test_one_job_can_be_run_though_it_is_not_due() -> None:
    job = enqueue(SUCCEED, delay=60)

    assert run_job(job).status == Status.COMPLETED
    assert job.state == Job.State.COMPLETED


def test_a_job_that_does_not_wait_cannot_be_run() -> None:
    job = enqueue(SUCCEED)
    run_job(job)

    with pytest.raises(AssertionError, match=f"job {job.pk} is completed, not waiting"):
        run_job(job)


@pytest.mark.parametrize(
    ("state", "instead"),
    [
        ("active", "something claimed it"),
        ("completed", "enqueue another one"),
        ("failed", r"job.retry\(\)"),
        ("cancelled", r"job.retry\(\)"),
    ],
)
def test_the_error_of_a_job_that_does_not_wait_says_what_makes_it_run(state: str, instead: str) -> None:
    job = make_job(state)

    with pytest.raises(CannotRun, match=f"job {job.pk} is {state}, not waiting: .*{instead}"):
        run_job(job)


def test_a_held_job_says_so_how_it_is_released_and_stays_as_it_was() -> None:
    job = enqueue(SUCCEED, delay=60)
    holding.hold(job, "pia", "wrong text", "default")
    before = vars(Job.objects.get(pk=job.pk)) | {"_state": None}

    with pytest.raises(JobIsHeld, match=r"is held by pia: wrong text.* job.run_now\(\)"):
        run_job(job)

    assert vars(Job.objects.get(pk=job.pk)) | {"_state": None} == before
    assert drain(until=timezone.now() + timedelta(days=1)) == []
    job.run_now()
    assert run_job(job).status == Status.COMPLETED


def test_a_job_that_is_not_there_says_so() -> None:
    job = enqueue(SUCCEED)
    Job.objects.all().delete()

    with pytest.raises(CannotRun, match=f"no job {job.pk} in the database 'default', it was deleted"):
        run_job(job)
    with pytest.raises(CannotRun, match="never written"):
        run_job(Job())


@pytest.mark.django_db(databases=["default", "other"])
def test_a_job_of_another_database_says_of_which() -> None:
    job = enqueue(SUCCEED, using="other")

    with pytest.raises(CannotRun, match=r"run_job\(job, using='other'\)"):
        run_job(job)


def test_at_a_time_ahead_what_is_due_by_then_runs() -> None:
    job = enqueue(SUCCEED, delay=6000)

    with testing.at(timezone.now() + timedelta(hours=2)):
        assert [outcome.job for outcome in drain()] == [job]


def test_at_a_time_ahead_a_job_that_asks_for_another_time_waits_for_that_time() -> None:
    job = enqueue(RETRY_LATER, delay=6000)
    moment = timezone.now() + timedelta(hours=2)

    with testing.at(moment):
        (outcome,) = drain()

    job.refresh_from_db()
    assert outcome.delay is not None
    assert job.run_at == moment + outcome.delay


def test_a_job_of_a_processor_that_nobody_registered_is_an_error_of_the_test() -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(processor="sample.succed")

    with pytest.raises(UnknownProcessor, match="did you mean 'sample.succeed'"):
        drain()


def test_a_job_whose_payload_its_processor_does_not_take_is_an_error_of_the_test() -> None:
    job = enqueue(TAKES_A_NUMBER, number=1)
    Job.objects.filter(pk=job.pk).update(payload={})

    with pytest.raises(InvalidPayload, match="missing a required argument: 'number'"):
        drain()
