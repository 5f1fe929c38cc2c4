"""What Redis forgot is published again, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobqueue.broker import message, queues, registries
from jobqueue.delivery.lost import LostMessages
from jobqueue.delivery.publishable import message_of
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, transitions
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, claimed, list_of, make_worker, messages_of, run

pytestmark = pytest.mark.django_db
in_both_databases = pytest.mark.django_db(databases=["default", "other"])


def _lose_all(redis_client: redis.Redis, count: int) -> list[Job]:
    jobs = enqueue_many([(SUCCEED, {})] * count)
    redis_client.flushall()
    return jobs


def test_after_a_flush_everything_that_waits_is_published_again(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = _lose_all(redis_client, 5)

    assert LostMessages("default").publish_again() == 5
    assert sorted(list_of(redis_client)) == sorted(job.message_id for job in jobs)


def test_what_was_published_first_is_published_again_first(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = _lose_all(redis_client, 5)
    for minutes, job in enumerate(jobs, start=1):
        Job.objects.filter(pk=job.pk).update(published_at=Now() - timedelta(minutes=minutes))

    LostMessages("default").publish_again()

    assert list_of(redis_client) == [job.message_id for job in reversed(jobs)]


def _lose_list(redis_client: redis.Redis, count: int) -> list[Job]:
    """Jobs whose messages went with their list, as when it was evicted or deleted; their hashes stayed."""
    jobs = enqueue_many([(SUCCEED, {})] * count)
    queues.publish(messages_of(jobs))
    redis_client.delete("rq:queue:email")
    return jobs


def test_what_went_with_a_lost_list_is_published_again_at_once(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = _lose_list(redis_client, 5)
    LostMessages("default").publish_again()

    assert sorted(list_of(redis_client)) == sorted(job.message_id for job in jobs)


def test_what_went_with_a_lost_list_is_published_again_though_the_list_was_begun_anew(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = _lose_list(redis_client, 5)
    jobs.append(enqueue(SUCCEED))
    queues.publish(messages_of(jobs[-1:]))
    LostMessages("default").publish_again()

    assert sorted(list_of(redis_client)) == sorted(job.message_id for job in jobs)


@pytest.mark.parametrize("count", [4, 5, 6])
def test_the_walk_goes_in_bounded_steps_and_reaches_everything(
    at_once: LazySettings, redis_client: redis.Redis, count: int
) -> None:
    at_once.JOBQUEUE = {"LOST_AFTER": 0, "RELAY_BATCH": 2}
    jobs = _lose_all(redis_client, count)
    lost = LostMessages("default")
    steps = [lost.publish_again() for _ in range(count)]

    assert max(steps) <= 2
    assert sorted(list_of(redis_client)) == sorted(job.message_id for job in jobs)


def test_the_walk_reaches_what_lies_behind_messages_that_are_known(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    at_once.JOBQUEUE = {"LOST_AFTER": 0, "RELAY_BATCH": 2}
    jobs = enqueue_many([(SUCCEED, {})] * 5)  # published in one moment
    queues.publish([message_of(job, "default") for job in jobs[:4]])
    lost = LostMessages("default")

    assert [lost.publish_again() for _ in range(3)] == [0, 0, 1]
    assert jobs[4].message_id in list_of(redis_client)


def test_at_its_end_the_walk_begins_anew(at_once: LazySettings, redis_client: redis.Redis) -> None:
    _lose_all(redis_client, 2)
    lost = LostMessages("default")
    assert lost.publish_again() == 2

    redis_client.flushall()
    assert lost.publish_again() == 2


def test_each_step_asks_for_a_bounded_number_of_rows(at_once: LazySettings) -> None:
    enqueue_many([(SUCCEED, {})] * 3)
    with CaptureQueriesContext(connection) as queries:
        LostMessages("default").publish_again()

    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert "LIMIT 500" in statements[0]
    assert len(statements) <= 4


def test_what_was_published_a_moment_ago_is_left_alone(redis_client: redis.Redis) -> None:
    _lose_all(redis_client, 1)

    assert LostMessages("default").publish_again() == 0
    assert redis_client.dbsize() == 0


def test_what_redis_knows_is_left_alone(at_once: LazySettings, redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED)
    queues.publish([message_of(job, "default")])
    before = Job.objects.values().get()

    assert LostMessages("default").publish_again() == 0
    assert Job.objects.values().get() == before


def _claim_in_redis_only(age: int, redis_client: redis.Redis) -> Job:
    """A message that a worker took `age` seconds ago; its row still waits."""
    job = enqueue(SUCCEED)
    queues.publish([message_of(job, "default")])
    queues.claim(["email"], 1, IDENTITY.id.hex, IDENTITY.name)
    redis_client.hincrby(f"rq:job:{job.message_id}", "claimed_at", -age)
    Job.objects.update(published_at=Now() - timedelta(seconds=60))
    return job


def test_what_a_living_worker_has_just_taken_is_left_alone(redis_client: redis.Redis) -> None:
    make_worker()
    _claim_in_redis_only(0, redis_client)

    assert LostMessages("default").publish_again() == 0


def test_what_a_silent_worker_took_is_published_again(redis_client: redis.Redis) -> None:
    make_worker(silent_for=21)
    job = _claim_in_redis_only(0, redis_client)

    assert LostMessages("default").publish_again() == 1
    assert list_of(redis_client) == [job.message_id]


def test_what_a_living_worker_took_long_ago_and_does_not_know_of_is_published_again(
    redis_client: redis.Redis,
) -> None:
    make_worker()
    job = _claim_in_redis_only(20, redis_client)

    assert LostMessages("default").publish_again() == 1
    assert list_of(redis_client) == [job.message_id]
    assert redis_client.zcard("rq:wip:email") == 0


def _publish_in_the_future(redis_client: redis.Redis, seconds: float = 60) -> Job:
    """A lost message, published before the database's clock stepped back."""
    [job] = _lose_all(redis_client, 1)
    Job.objects.update(published_at=Now() + timedelta(seconds=seconds))
    return job


@pytest.mark.parametrize("seconds", [60, 86_400, 400 * 86_400])
def test_what_was_lost_before_the_clock_stepped_back_is_found(
    redis_client: redis.Redis, seconds: float
) -> None:
    job = _publish_in_the_future(redis_client, seconds)
    lost = LostMessages("default")
    lost.clock_stepped_back(seconds)

    assert lost.publish_again() == 1
    assert list_of(redis_client) == [job.message_id]
    assert lost.publish_again() == 0


def test_a_claim_that_redis_dates_in_the_future_is_none_of_just_now(redis_client: redis.Redis) -> None:
    make_worker()
    _claim_in_redis_only(-60, redis_client)

    assert LostMessages("default").publish_again() == 1


def test_jobs_that_do_not_wait_are_left_alone(at_once: LazySettings) -> None:
    claimed()
    run(claimed())

    assert LostMessages("default").publish_again() == 0


def test_a_job_that_ran_while_redis_was_asked_is_not_published_again(
    at_once: LazySettings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = _lose_all(redis_client, 1)
    unknown = registries.unknown

    def slow(*arguments: Any) -> list[message.Message]:
        Job.objects.filter(pk=job.pk).update(state=Job.State.COMPLETED)
        return unknown(*arguments)

    monkeypatch.setattr(registries, "unknown", slow)

    assert LostMessages("default").publish_again() == 0
    assert redis_client.dbsize() == 0


def test_a_message_is_pushed_only_once_no_claim_finds_its_row_locked(
    at_once: LazySettings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = _lose_all(redis_client, 1)
    mark, pushed_before = transitions.mark_published, []

    def note(rows: Any) -> int:
        pushed_before.append(list_of(redis_client))
        return mark(rows)

    monkeypatch.setattr(transitions, "mark_published", note)
    LostMessages("default").publish_again()

    assert pushed_before == [[]]
    assert list_of(redis_client) == [job.message_id]


def test_what_redis_did_not_take_is_left_to_the_relay(
    at_once: LazySettings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = _lose_all(redis_client, 1)

    def away(*_: Any, **__: Any) -> int:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(queues, "publish", away)

    with pytest.raises(BrokerUnavailable):
        LostMessages("default").publish_again()
    job.refresh_from_db()
    assert (job.state, job.published_at) == ("waiting", None)


def test_without_redis_nothing_changes(at_once: LazySettings, redis_closed: UseRedis) -> None:
    at_once.JOBQUEUE = {"LOST_AFTER": 0}
    enqueue(SUCCEED)
    before = list(Job.objects.values())

    with pytest.raises(BrokerUnavailable):
        LostMessages("default").publish_again()
    assert list(Job.objects.values()) == before


@in_both_databases
def test_what_is_lost_in_another_database_is_published_with_its_name(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    job = enqueue(SUCCEED, using="other")

    assert LostMessages("other").publish_again() == 1
    assert list_of(redis_client) == [f"{job.pk}-1-other"]


def test_messages_whose_list_has_no_number_count_as_queued(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 3)
    queues.publish(messages_of(jobs))
    redis_client.delete("rq:jobqueue:list:email")

    assert LostMessages("default").publish_again() == 0
    assert queues.publish(messages_of(jobs)) == 0
    assert redis_client.llen("rq:queue:email") == 3
