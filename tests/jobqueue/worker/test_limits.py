"""The limits of queues at the claim, as far as they need the rows; the rest is in tests/jobqueue/broker."""

from __future__ import annotations

import pytest
import redis

from jobqueue.broker.queues import QueueLimits
from jobqueue.models import Job
from jobqueue.worker import claiming
from jobqueue.worker.claiming import Batch, Wanted
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, TELLER, claim_row, list_of, published

pytestmark = pytest.mark.django_db


def _claim(**limits: int) -> Batch:
    """What a claim of ten jobs brings when the queue email has these limits."""
    wanted = Wanted(10, ["email"], {"email": QueueLimits(**limits)}, free=10)
    return claiming.claim(IDENTITY, wanted, TELLER)


def _running_unknown_to_redis(redis_client: redis.Redis) -> Job:
    job = published()
    claim_row(job, OTHER_IDENTITY)
    redis_client.flushall()
    return job


def test_a_running_job_counts_even_if_redis_does_not_know_of_it(redis_client: redis.Redis) -> None:
    _running_unknown_to_redis(redis_client)
    first, _second = published(), published()

    assert [claimed.job.pk for claimed in _claim(concurrency=2).jobs] == [first.pk]


def test_what_the_rows_hold_back_goes_back_to_the_front_of_its_queue(redis_client: redis.Redis) -> None:
    _running_unknown_to_redis(redis_client)
    jobs = [published() for _ in range(3)]

    assert _claim(concurrency=2).jobs[0].job == jobs[0]
    assert list_of(redis_client) == [job.message_id for job in jobs[1:]]
    assert Job.objects.waiting().filter(published_at__isnull=False).count() == 2


def test_what_the_rows_hold_back_is_asked_for_again_soon(redis_client: redis.Redis) -> None:
    _running_unknown_to_redis(redis_client)
    published()

    claims = _claim(concurrency=1)
    assert claims.jobs == []
    assert claims.pause is not None
    assert 0 < claims.pause < 0.5


def test_what_the_rows_hold_back_wakes_nobody(redis_client: redis.Redis) -> None:
    _running_unknown_to_redis(redis_client)
    published()
    redis_client.delete("rq:jobqueue:bell:email")

    _claim(concurrency=1)
    assert not redis_client.exists("rq:jobqueue:bell:email")


def test_a_stale_message_does_not_take_a_limited_queues_place_for_good(redis_client: redis.Redis) -> None:
    stale, job = published(), published()
    stale.cancel()

    assert _claim(concurrency=1).jobs == []
    assert [claimed.job.pk for claimed in _claim(concurrency=1).jobs] == [job.pk]


@pytest.mark.parametrize(("late_from", "left"), [(0.0, 0), (60.0, 1)], ids=["late", "in time"])
def test_what_starts_late_counts_for_the_rate_once_more(
    late_from: float, left: int, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_LATE_START", late_from)
    redis_client.lpush("rq:jobqueue:starts:email", 0)
    published()
    assert len(_claim(rate=2).jobs) == 1

    published()
    published()
    assert len(_claim(rate=2).jobs) == left
