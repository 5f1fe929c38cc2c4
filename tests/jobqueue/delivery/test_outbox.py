"""The outbox: what is due is published, and what is due next is known."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from jobqueue.broker import queues
from jobqueue.delivery import outbox
from jobqueue.delivery.publishable import message_of
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job
from jobqueue.sql import databases
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import list_of

pytestmark = pytest.mark.django_db
in_both_databases = pytest.mark.django_db(databases=["default", "other"])


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
        (sooner.run_at, message_of(sooner, "default")),
        (later.run_at, message_of(later, "default")),
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


# A clock that stepped back -------------------------------------------------------------------------


def _clock_steps_back(seconds: int = 60) -> None:
    """What was written before lies so much further ahead."""
    step = timedelta(seconds=seconds)
    Job.objects.update(run_at=F("run_at") + step, created_at=F("created_at") + step)
    Job.objects.update(published_at=F("published_at") + step)


def _would_show(seconds: int = 60) -> datetime:
    return database_now("default") + timedelta(seconds=seconds)


def test_what_was_due_before_the_clock_stepped_back_stays_due() -> None:
    job = _unpublished()[0]
    _clock_steps_back()

    assert outbox.publish_due("default") == 0
    assert outbox.bring_forward("default", _would_show()) == 1
    assert outbox.publish_due("default") == 1
    job.refresh_from_db()
    assert job.published_at is not None


def test_what_was_not_due_before_the_clock_stepped_back_keeps_its_time() -> None:
    job = enqueue(SUCCEED, delay=30)
    _clock_steps_back()
    job.refresh_from_db()

    assert outbox.bring_forward("default", _would_show()) == 0
    assert Job.objects.get().run_at == job.run_at


def test_what_was_asked_for_after_the_clock_stepped_back_keeps_its_time() -> None:
    job = enqueue(SUCCEED, delay=30)

    assert outbox.bring_forward("default", _would_show()) == 0
    assert Job.objects.get().run_at == job.run_at
