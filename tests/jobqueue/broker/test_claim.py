"""Claiming: which messages a worker gets, and what RQ sees of it."""

from __future__ import annotations

import pytest
import redis
from rq.job import Job as RQJob
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from jobqueue.broker import queues
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER, claim, messages
from tests.jobqueue.steps import QUEUES, list_of


def test_messages_are_claimed_in_order_of_the_queues_and_of_publication() -> None:
    queues.publish([*messages(1, 2, queue="settlement"), *messages(3, queue="reminders"), *messages(4, 5)])

    assert claim() == ["4-1", "5-1", "3-1", "1-1", "2-1"]


def test_no_more_messages_are_claimed_than_asked_for(redis_client: redis.Redis) -> None:
    queues.publish([*messages(1, 2), *messages(3, 4, queue="reminders")])

    assert claim(3) == ["1-1", "2-1", "3-1"]
    assert list_of(redis_client, "reminders") == ["4-1"]


def test_only_the_named_queues_are_served() -> None:
    queues.publish([*messages(1), *messages(2, queue="reminders")])

    assert claim(names=("reminders",)) == ["2-1"]


@pytest.mark.parametrize(("names", "count"), [((), 5), (QUEUES, 0)])
def test_who_serves_nothing_claims_nothing(names: tuple[str, ...], count: int) -> None:
    queues.publish(messages(1))

    assert claim(count, names) == []


def test_a_message_is_claimed_once() -> None:
    queues.publish(messages(1))

    assert claim() == ["1-1"]
    assert claim(worker=OTHER_WORKER) == []


def test_a_suspended_rq_claims_nothing_until_it_is_resumed(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    suspend(redis_client)
    assert claim() == []

    resume(redis_client)
    assert claim() == ["1-1"]


def test_a_claimed_message_stands_in_rqs_registry_of_started_jobs(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    claim()
    registry = StartedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)

    assert registry.get_job_ids() == ["1-1"]
    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)
    assert job.get_status() == "started"
    assert job.worker_name == "worker"
    assert job.started_at is not None


def test_of_what_cannot_start_at_once_half_is_left_to_others() -> None:
    queues.publish(messages(*range(1, 11)))

    assert len(queues.claim(QUEUES, 100, WORKER, "worker", free=2).messages) == 5


def test_what_can_start_at_once_is_taken_whole() -> None:
    queues.publish(messages(1, 2, 3))

    assert len(queues.claim(QUEUES, 100, WORKER, "worker", free=16).messages) == 3
