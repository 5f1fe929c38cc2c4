"""What Redis is told of outcomes, and when it hears of them after an outage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from rq.registry import FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue.broker import counters, queues
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.worker import telling
from jobqueue.worker.telling import News, Teller
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import FAIL
from tests.jobqueue.steps import IDENTITY, TELLER, claim_jobs, claimed, published, run

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(count: int = 10, **options: Any) -> list[Job]:
    return [each.job for each in claim_jobs(IDENTITY, count, **options)]


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


def test_news_that_nobody_can_tell_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def untellable(*_: Any) -> None:
        raise ValueError("odd")

    teller = Teller()
    with monkeypatch.context() as patch:
        patch.setattr(queues, "finish", untellable)
        teller.tell(_news(1))
    teller.tell(_news(2))

    assert counters.read() == {'["sample","2"]': 1}
    [record] = caplog.records
    assert "Redis cannot be told of the outcomes of 0 jobs, which are settled: ValueError" in record.message


# With its thread ----------------------------------------------------------------------------------


def _news(number: int = 1) -> News:
    return News([], IDENTITY.id.hex, {f'["sample","{number}"]': 1.0})


@pytest.fixture
def teller() -> Iterator[Teller]:
    """One whose thread runs."""
    started = Teller()
    started.start(guard=lambda body: body)
    yield started
    started.stop(10)


class _Hanging:
    """A Redis that takes what is finished only once it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.may_answer = threading.Event(), threading.Event()
        self._finish = queues.finish
        monkeypatch.setattr(queues, "finish", self._hang)

    def _hang(self, *arguments: Any) -> None:
        self.reached.set()
        assert self.may_answer.wait(10)
        self._finish(*arguments)


def test_a_redis_that_hangs_does_not_hold_up_who_has_it_told(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_hangs = _Hanging(monkeypatch)
    teller.tell_soon(_news(1))
    assert redis_hangs.reached.wait(10)
    teller.tell_soon(_news(2))
    assert counters.read() == {}

    redis_hangs.may_answer.set()
    teller.stop(10)
    assert counters.read() == {'["sample","1"]': 1, '["sample","2"]': 1}


def test_what_is_left_at_the_end_is_told_before_it(teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        told = threading.Event()

        def away(*_: Any) -> None:
            told.set()
            raise BrokerUnavailable("away")

        patch.setattr(queues, "finish", away)
        teller.tell_soon(_news())
        assert told.wait(10)

    teller.stop(10)
    assert counters.read() == {'["sample","1"]': 1}


def test_after_its_end_who_has_it_told_tells_redis_itself(teller: Teller) -> None:
    teller.stop(10)
    teller.tell_soon(_news())

    assert counters.read() == {'["sample","1"]': 1}


def test_the_oldest_news_are_given_up_where_redis_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(telling, "_MOST_UNTOLD", 2)
    teller = Teller()
    with monkeypatch.context() as patch:
        patch.setattr(queues, "finish", away)
        for number in range(3):
            teller.tell(_news(number))

    assert teller.tell_untold()
    assert counters.read() == {'["sample","1"]': 1, '["sample","2"]': 1}
