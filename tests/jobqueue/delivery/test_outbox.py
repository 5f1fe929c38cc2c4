"""The relay's work: what is due is published, and what Redis forgot is published again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobqueue.broker import message, queues, registries
from jobqueue.delivery import outbox
from jobqueue.delivery.lost import LostMessages
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job
from jobqueue.sql import databases
from jobqueue.sql.clock import database_now
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import CLAIMANT, claimed, list_of, make_worker, messages_of, run

pytestmark = pytest.mark.django_db
in_both_databases = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def at_once(settings: LazySettings) -> LazySettings:
    """Messages count as lost at once."""
    settings.JOBQUEUE = settings.JOBQUEUE | {"LOST_AFTER": 0}
    return settings


def _unpublished(count: int = 1, processor: str = SUCCEED, *, due_for: int = 0) -> list[Job]:
    """Due jobs that nobody published, as a save without Redis or a retry leaves them."""
    jobs = enqueue_many([(processor, {})] * count)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
        published_at=None, run_at=Now() - timedelta(seconds=due_for)
    )
    return jobs


# What is due --------------------------------------------------------------------------------------


def test_what_is_due_is_published_and_noted(redis_client: redis.Redis) -> None:
    jobs = _unpublished(2)

    assert outbox.publish_due("default") == 2
    assert sorted(list_of(redis_client)) == sorted(job.message_id for job in jobs)
    assert not Job.objects.filter(published_at__isnull=True).exists()


def test_what_is_due_longest_is_published_first(redis_client: redis.Redis) -> None:
    [younger], [older] = _unpublished(due_for=5), _unpublished(due_for=50)
    outbox.publish_due("default")

    assert list_of(redis_client) == [older.message_id, younger.message_id]


def test_nothing_due_is_nothing_published(redis_client: redis.Redis) -> None:
    enqueue(SUCCEED, delay=60)

    assert outbox.publish_due("default") == 0
    assert redis_client.dbsize() == 0


def test_what_is_published_is_not_published_again(redis_client: redis.Redis) -> None:
    _unpublished()
    outbox.publish_due("default")
    redis_client.flushall()

    assert outbox.publish_due("default") == 0
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "state", [Job.State.ACTIVE, Job.State.COMPLETED, Job.State.FAILED, Job.State.CANCELLED]
)
def test_only_waiting_jobs_are_published(state: str) -> None:
    _unpublished()
    Job.objects.update(state=state)

    assert outbox.publish_due("default") == 0


def test_a_retry_is_published_as_its_attempt(redis_client: redis.Redis) -> None:
    [job] = _unpublished()
    Job.objects.update(attempt=3)
    outbox.publish_due("default")

    assert list_of(redis_client) == [f"{job.pk}-3"]


def test_no_more_than_a_batch_is_published_at_a_time(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RELAY_BATCH": 2}
    _unpublished(5)

    assert [outbox.publish_due("default") for _ in range(4)] == [2, 2, 1, 0]


def test_without_redis_the_rows_stay_to_be_published(redis_closed: object) -> None:
    _unpublished(2)

    with pytest.raises(BrokerUnavailable):
        outbox.publish_due("default")
    assert Job.objects.filter(published_at__isnull=True).count() == 2


@in_both_databases
def test_what_is_due_in_another_database_is_published_with_its_name(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED, using="other")
    Job.objects.using("other").update(published_at=None)

    assert outbox.publish_due("default") == 0
    assert outbox.publish_due("other") == 1
    assert list_of(redis_client) == [f"{job.pk}-1-other"]


@pytest.mark.django_db(transaction=True)
def test_the_rows_are_noted_before_the_messages_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is quick: it must not meet a row that a transaction of the relay still holds."""
    _unpublished()
    seen: list[Any] = []

    def publish(messages: Any, **_: Any) -> int:
        seen.append((connection.in_atomic_block, Job.objects.get().published_at is not None))
        return 0

    monkeypatch.setattr(queues, "publish", publish)
    outbox.publish_due("default")

    assert seen == [(False, True)]


# What is due next ---------------------------------------------------------------------------------


def test_without_a_delayed_job_nothing_is_upcoming() -> None:
    enqueue(SUCCEED)

    assert outbox.upcoming("default", 60) == []


def test_what_is_due_soon_is_upcoming_in_its_order() -> None:
    later, sooner = enqueue(SUCCEED, delay=50), enqueue(SUCCEED, delay=40)
    enqueue(SUCCEED, delay=600)

    assert outbox.upcoming("default", 60) == [
        (sooner.run_at, outbox.message_of(sooner, "default")),
        (later.run_at, outbox.message_of(later, "default")),
    ]


def test_what_is_due_already_is_not_upcoming() -> None:
    _unpublished(due_for=5)

    assert outbox.upcoming("default", 60) == []


def test_only_what_is_overdue_for_long_is_published_where_that_is_asked_for(
    redis_client: redis.Redis,
) -> None:
    _unpublished(due_for=5)

    assert outbox.publish_due("default", overdue_by=60) == 0
    assert outbox.publish_due("default", overdue_by=2) == 1


def test_what_is_left_out_is_not_published() -> None:
    [job] = _unpublished(due_for=5)

    assert outbox.publish_due("default", except_for=[job.pk]) == 0


def test_every_database_with_the_tables_is_served() -> None:
    assert databases.databases() == ["default", "other"]


def test_the_databases_that_are_served_can_be_set(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ("other",)}

    assert databases.databases() == ["other"]


# What Redis lost ----------------------------------------------------------------------------------


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
    queues.publish([outbox.message_of(job, "default") for job in jobs[:4]])
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

    assert "LIMIT 500" in queries[0]["sql"]
    assert len(queries) <= 4


def test_what_was_published_a_moment_ago_is_left_alone(redis_client: redis.Redis) -> None:
    _lose_all(redis_client, 1)

    assert LostMessages("default").publish_again() == 0
    assert redis_client.dbsize() == 0


def test_what_redis_knows_is_left_alone(at_once: LazySettings, redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED)
    queues.publish([outbox.message_of(job, "default")])
    before = Job.objects.values().get()

    assert LostMessages("default").publish_again() == 0
    assert Job.objects.values().get() == before


def _claim_in_redis_only(age: int, redis_client: redis.Redis) -> Job:
    """A message that a worker took `age` seconds ago; its row still waits."""
    job = enqueue(SUCCEED)
    queues.publish([outbox.message_of(job, "default")])
    queues.claim(["email"], 1, CLAIMANT.id.hex, CLAIMANT.name)
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


def _hold_a_row(pk: int, held: Callable[[], None]) -> None:
    with transaction.atomic():
        list(Job.objects.select_for_update().filter(pk=pk))
        held()


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_row_that_somebody_changes_does_not_keep_the_relay_from_the_others(
    redis_client: redis.Redis,
) -> None:
    """SQLite has one writer at a time, so there the rows are never locked for themselves."""
    jobs = _unpublished(2)
    redis_client.flushall()
    published: list[int] = []

    def relay() -> None:
        try:
            published.append(outbox.publish_due("default"))
        finally:
            connections.close_all()

    def run_beside() -> None:
        thread = threading.Thread(target=relay)
        thread.start()
        thread.join(10)

    if connection.features.has_select_for_update_skip_locked:
        _hold_a_row(jobs[0].pk, run_beside)
        assert published == [1]
        assert list_of(redis_client) == [jobs[1].message_id]
    else:
        run_beside()
        assert published == [2]


def test_the_database_has_one_clock_for_all() -> None:
    first = database_now("default")

    assert database_now("default") >= first


def test_a_queue_that_is_not_configured_any_more_does_not_hold_up_the_others(
    at_once: LazySettings, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    strange, job = enqueue(SUCCEED, delay=60), enqueue(SUCCEED, delay=60)
    Job.objects.update(run_at=Now())
    Job.objects.filter(pk=strange.pk).update(queue="gone")

    assert [outbox.publish_due("default") for _ in range(2)] == [1, 0]
    assert list_of(redis_client) == [job.message_id]
    strange.refresh_from_db()
    assert (strange.state, strange.published_at) == ("waiting", None)
    [record] = [record for record in caplog.records if "not in RQ_QUEUES" in record.message]
    assert "'gone'" in record.message and "email, reminders, settlement" in record.message


def test_messages_whose_list_has_no_number_count_as_queued(
    at_once: LazySettings, redis_client: redis.Redis
) -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 3)
    queues.publish(messages_of(jobs))
    redis_client.delete("rq:jobqueue:list:email")

    assert LostMessages("default").publish_again() == 0
    assert queues.publish(messages_of(jobs)) == 0
    assert redis_client.llen("rq:queue:email") == 3
