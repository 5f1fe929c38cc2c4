"""The whole way of a job: claimed, performed and settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from jobqueue.broker import message
from jobqueue.delivery import outbox
from jobqueue.exceptions import JobQueueError
from jobqueue.jobs import RetryPolicy, processor
from jobqueue.models import Job
from tests.jobqueue.steps import IDENTITY, claim_jobs, list_of, published, run
from tests.jobqueue.worker.steps import raising

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(count: int = 10, **options: Any) -> list[Job]:
    return [each.job for each in claim_jobs(IDENTITY, count, **options)]


def test_a_job_goes_from_the_queue_to_its_end_and_leaves_the_list_empty(redis_client: redis.Redis) -> None:
    job = published()
    [mine] = _claim()
    run(mine)

    assert Job.objects.get(pk=job.pk).state == State.COMPLETED
    assert list_of(redis_client) == []


def test_a_retry_goes_the_same_road(redis_client: redis.Redis) -> None:
    processor("sample.at_once", queue="email", retry=RetryPolicy(first_delay=timedelta(0)))(
        raising(ValueError("broken"))
    )
    job = published("sample.at_once")
    [mine] = _claim()
    run(mine)
    assert _claim() == []

    assert outbox.publish_due("default") == 1
    assert [(each.pk, each.attempt) for each in _claim()] == [(job.pk, 2)]


def test_a_message_of_ours_run_by_somebody_else_says_what_to_use() -> None:
    with pytest.raises(JobQueueError, match=r"job 5 attempt 1 runs only in .*manage\.py rqworker"):
        message.refuse_message(5, 1)
