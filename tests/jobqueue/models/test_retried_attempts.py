"""Each failed attempt says whether another followed by itself, whoever writes it down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F

from jobqueue.delivery import rescue
from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job, transitions
from tests.jobqueue.processors_for_tests import CALL, DISCARD, FAIL, FAIL_WITHOUT_RETRY, Calls
from tests.jobqueue.sql.outages_for_tests import locked_error
from tests.jobqueue.steps import claimed, make_worker, run, run_waiting
from tests.jobqueue.worker.steps import raising

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("processor", "is_retried"), [(FAIL, True), (DISCARD, False), (FAIL_WITHOUT_RETRY, False)]
)
def test_an_attempt_that_failed_is_retried_or_was_the_last(processor: str, is_retried: bool) -> None:
    job = claimed(processor)
    run(job)

    assert job.attempts.get().is_retried is is_retried


def test_a_retry_by_hand_follows_by_nobody_itself() -> None:
    job = claimed(FAIL_WITHOUT_RETRY)
    run(job)
    Job.objects.retry_all()

    assert job.attempts.get().is_retried is False


def test_what_failed_when_it_was_to_stop_is_not_retried() -> None:
    job = claimed(FAIL)
    transitions.ask_to_stop(Job.objects.filter(pk=job.pk), "stopped by anna")
    run(job)

    assert job.attempts.get().is_retried is False


@pytest.mark.parametrize(("failures", "is_retried"), [(0, True), (3, False)])
def test_the_attempt_of_a_lost_worker_is_retried_as_long_as_there_is_a_budget(
    failures: int, is_retried: bool
) -> None:
    job = claimed()
    Job.objects.filter(pk=job.pk).update(failures=failures)
    make_worker(silent_for=21)
    rescue.rescue_lost("default")

    assert job.attempts.get().is_retried is is_retried


def test_what_an_operator_fails_is_not_retried() -> None:
    job = claimed()
    rescue.fail(Job.objects.all())

    assert job.attempts.get().is_retried is False


def test_the_attempt_of_an_outage_is_retried_until_the_job_gives_up(
    sample_processors: Calls, tmp_path: Path
) -> None:
    sample_processors.behaviour = raising(locked_error(tmp_path))
    job = enqueue(CALL)
    run_waiting(job)
    assert job.attempts.get().is_retried is True

    Attempt.objects.update(started_at=F("started_at") - timedelta(hours=1))
    for _ in range(4):
        run_waiting(job)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.attempts.get().is_retried is False
