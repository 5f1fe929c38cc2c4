"""Every failed attempt is a log record with the ids of its job, and goes to the listeners with its error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue import signals
from jobqueue.delivery import rescue
from jobqueue.exceptions import JobInterrupted
from jobqueue.jobs import RetryLater
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import (
    CALL,
    DISCARD,
    FAIL,
    FAIL_WITHOUT_RETRY,
    RETRY_LATER,
    SUCCEED,
    Broken,
    Calls,
)
from tests.jobqueue.steps import claimed, make_worker, run
from tests.jobqueue.worker.steps import listening, raising

pytestmark = pytest.mark.django_db


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """What was logged about jobs."""
    caplog.set_level(logging.INFO, logger="jobqueue.jobs")
    return lambda: [record for record in caplog.records if record.name == "jobqueue.jobs"]


Records = Callable[[], list[Any]]


def test_a_failed_attempt_before_the_last_is_a_warning(records: Records) -> None:
    job = claimed(FAIL, message="no luck")
    run(job)

    (record,) = records()
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "failed in attempt 1 and runs again in" in record.getMessage()
    assert record.getMessage().endswith("Broken: no luck")


@pytest.mark.parametrize("processor", [FAIL_WITHOUT_RETRY, DISCARD])
def test_the_last_failed_attempt_is_an_error_with_its_exception(processor: str, records: Records) -> None:
    run(claimed(processor))

    (record,) = records()
    assert record.levelname == "ERROR"
    assert record.exc_info is not None and record.exc_info[1].__traceback__ is not None


@pytest.mark.parametrize("processor", [FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER])
def test_the_record_has_the_ids_of_the_job(processor: str, records: Records) -> None:
    job = claimed(processor)
    run(job)

    (record,) = records()
    ids = (record.job_id, record.processor, record.queue, record.attempt)
    assert ids == (job.pk, processor, "email", 1)


def test_another_time_without_an_error_is_no_warning(records: Records) -> None:
    run(claimed(RETRY_LATER, reason="quiet hours"))

    (record,) = records()
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert "quiet hours" in record.getMessage()


def test_another_time_with_an_error_is_a_warning(records: Records, sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(RetryLater(5, "busy", error=Broken("451")))
    run(claimed(CALL))

    (record,) = records()
    assert record.levelname == "WARNING"


def test_a_job_that_completes_says_nothing(records: Records) -> None:
    run(claimed(SUCCEED))

    assert not records()


def test_the_payload_is_not_logged(records: Records, sample_processors: Calls) -> None:
    sample_processors.behaviour = raising(Broken("broken"))
    run(claimed(CALL, address="pia@example.com", amount="123.45"))

    (record,) = records()
    assert "pia" not in record.getMessage() and "123.45" not in record.getMessage()


@pytest.mark.parametrize(("failures", "level"), [(0, "WARNING"), (3, "ERROR")])
def test_a_job_whose_worker_was_lost_is_logged(failures: int, level: str, records: Records) -> None:
    make_worker(silent_for=60)
    job = claimed(SUCCEED)
    Job.objects.filter(pk=job.pk).update(failures=failures)
    rescue.rescue_lost("default")

    (record,) = records()
    assert (record.levelname, record.job_id) == (level, job.pk)
    assert bool(record.exc_info) == (level == "ERROR")
    assert "is gone: no sign of life" in record.getMessage()


def test_a_job_that_an_operator_fails_is_logged(records: Records) -> None:
    job = claimed(SUCCEED)
    rescue.fail(Job.objects.filter(pk=job.pk))

    (record,) = records()
    assert (record.levelname, record.job_id) == ("ERROR", job.pk)
    assert record.exc_info and isinstance(record.exc_info[1], JobInterrupted)


# Listeners ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "signal", "kind"),
    [
        (FAIL, signals.job_retried, Broken),
        (FAIL_WITHOUT_RETRY, signals.job_failed, Broken),
        (RETRY_LATER, signals.job_retried, RetryLater),
    ],
)
def test_listeners_are_given_the_exception(processor: str, signal: Any, kind: type[Exception]) -> None:
    with listening(signal) as sent:
        run(claimed(processor))

    (details,) = sent
    assert isinstance(details["exception"], kind)
    assert details["outcome"].status in ("retried", "failed")


def test_listeners_hear_that_a_job_whose_process_was_lost_has_failed() -> None:
    make_worker(silent_for=60)
    job = claimed(SUCCEED)
    Job.objects.filter(pk=job.pk).update(failures=3)
    with listening(signals.job_failed) as sent:
        rescue.rescue_lost("default")

    (details,) = sent
    assert (details["job"].pk, details["outcome"]) == (job.pk, None)
    assert isinstance(details["exception"], JobInterrupted)


def test_a_job_whose_process_was_lost_and_that_runs_again_has_not_failed() -> None:
    make_worker(silent_for=60)
    claimed(SUCCEED)
    with listening(signals.job_failed) as sent:
        rescue.rescue_lost("default")

    assert not sent
