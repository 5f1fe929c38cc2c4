"""What Redis is told of outcomes, and when it hears of them after an outage."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from rq.registry import FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue.broker import counters, queues
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import (
    FAIL,
)
from tests.jobqueue.steps import (
    CLAIMANT,
    TELLER,
    claim_jobs,
    claimed,
    published,
    run,
)

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(count: int = 10, **options: Any) -> list[Job]:
    return [each.job for each in claim_jobs(CLAIMANT, count, **options)]


def test_rq_sees_a_job_start_and_finish(redis_client: redis.Redis) -> None:
    started = StartedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    finished = FinishedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    job = published()
    [mine] = _claim()
    assert started.get_job_ids() == [f"{job.pk}-1"]

    run(mine)
    assert (started.get_job_ids(), finished.get_job_ids()) == ([], [f"{job.pk}-1"])


def test_a_retried_job_leaves_nothing_in_redis_until_it_is_published_again(redis_client: redis.Redis) -> None:
    published(FAIL)
    [mine] = _claim()
    run(mine)

    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_with_redis_away_the_rows_are_settled(redis_closed: UseRedis) -> None:
    job = claimed()
    run(job)

    assert job.state == State.COMPLETED


def test_what_redis_missed_is_told_once_it_is_back(
    redis_closed: UseRedis, redis_server: RedisServer, redis_client: redis.Redis
) -> None:
    for _ in range(3):
        run(claimed())
    assert not TELLER.tell_untold()
    redis_closed(redis_server.host, redis_server.port)

    assert TELLER.tell_untold()
    assert TELLER.tell_untold()
    assert counters.read()['["job_processing_total","email","completed"]'] == 3


def test_a_batch_whose_answer_was_lost_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    finish, told = queues.finish, []

    def loses_its_first_answer(*arguments: Any) -> None:
        finish(*arguments)
        told.append(arguments)
        if len(told) == 1:
            raise BrokerUnavailable("the answer was lost")

    monkeypatch.setattr(queues, "finish", loses_its_first_answer)
    run(claimed())

    assert TELLER.tell_untold()
    assert len(told) == 2
    assert counters.read()['["job_processing_total","email","completed"]'] == 1
