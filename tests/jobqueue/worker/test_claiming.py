"""Claims: messages that Redis gives and the rows that answer to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import OperationalError
from django.db.models.functions import Now

from jobqueue.broker import message, queues
from jobqueue.delivery.publishable import message_of
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from jobqueue.worker import claiming
from tests.jobqueue.processors_for_tests import ON_REMINDERS, SUCCEED
from tests.jobqueue.steps import IDENTITY, TELLER, claim_jobs, claim_row, list_of, published

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(count: int = 10, **options: Any) -> list[Job]:
    return [each.job for each in claim_jobs(IDENTITY, count, **options)]


def test_published_jobs_are_claimed_in_the_order_of_the_queues() -> None:
    reminder, mail = published(ON_REMINDERS), published()

    assert _claim() == [mail, reminder]
    assert set(Job.objects.active().filter(worker_id=IDENTITY.id)) == {mail, reminder}


def test_nothing_published_is_nothing_claimed() -> None:
    enqueue(SUCCEED)

    assert _claim() == []


def test_only_the_queues_that_are_served_now_are_claimed_from() -> None:
    published()
    reminder = published(ON_REMINDERS)

    assert _claim(served=["reminders"]) == [reminder]


def test_a_stale_message_is_dropped_without_a_trace(redis_client: redis.Redis) -> None:
    job = published()
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED)

    assert _claim() == []
    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_a_stale_message_does_not_keep_the_others_from_being_claimed(redis_client: redis.Redis) -> None:
    stale, fresh = published(), published()
    Job.objects.filter(pk=stale.pk).update(state=State.COMPLETED)

    assert _claim() == [fresh]
    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"{fresh.pk}-1:{IDENTITY.id.hex}".encode()]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_messages_of_one_job_the_one_of_its_attempt_counts(
    order: tuple[int, int], redis_client: redis.Redis
) -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    queues.publish([message.Message("email", job.pk, attempt) for attempt in order])

    assert _claim() == [job]
    assert redis_client.keys("rq:job:*") == [f"rq:job:{job.pk}-2".encode()]


def test_a_message_of_an_unknown_database_is_dropped_and_hurts_no_other(redis_client: redis.Redis) -> None:
    queues.publish([message.Message("email", 1, 1, "nowhere")])
    job = published()

    assert _claim() == [job]
    assert redis_client.keys("rq:job:*") == [f"rq:job:{job.pk}-1".encode()]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_message_of_a_database_that_is_not_served_and_fails_does_not_come_first_for_ever(
    redis_client: redis.Redis, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    queues.publish([message.Message("email", 1, 1, "other")])
    job = published()
    _fail_claims(monkeypatch, "other")

    assert _claim(1) == []
    assert _claim(1) == [job]
    assert list_of(redis_client) == []


@pytest.mark.django_db(databases=["default", "other"])
def test_jobs_of_two_databases_are_claimed_together_in_the_order_of_their_messages() -> None:
    other, default = published(using="other"), published()

    claims = claim_jobs(IDENTITY, 10)

    assert [(each.job.pk, each.using) for each in claims] == [(other.pk, "other"), (default.pk, "default")]


def _fail_claims(monkeypatch: pytest.MonkeyPatch, *databases: str) -> None:
    claim_rows = claiming._claim_rows

    def failing(database: str, *arguments: Any) -> Any:
        if database in databases:
            raise OperationalError("the database is away")
        return claim_rows(database, *arguments)

    monkeypatch.setattr(claiming, "_claim_rows", failing)


def test_when_the_database_fails_nothing_is_claimed_and_the_messages_are_back_in_their_order(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    jobs = [published(), published(), published()]
    _fail_claims(monkeypatch, "default")

    with pytest.raises(OperationalError):
        _claim(2)

    assert list_of(redis_client) == [job.message_id for job in jobs]
    assert redis_client.hget(f"rq:job:{jobs[0].message_id}", "status") == b"queued"
    assert redis_client.zcard("rq:wip:email") == 0


def test_a_message_ahead_of_its_time_is_left_to_the_relay(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED, delay=60)
    Job.objects.filter(pk=job.pk).update(published_at=Now())
    queues.publish([message_of(job, "default")])

    assert _claim() == []
    job.refresh_from_db()
    assert (job.state, job.published_at) == (State.WAITING, None)


@pytest.mark.django_db(databases=["default", "other"])
def test_when_one_database_fails_the_jobs_of_the_other_are_claimed_and_run(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    job = published()
    published(using="other")
    _fail_claims(monkeypatch, "other")

    assert _claim() == [job]
    assert redis_client.zcard("rq:wip:email") == 1


def test_redis_failing_after_the_rows_were_claimed_does_not_lose_them(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    stale, fresh = published(), published()
    Job.objects.filter(pk=stale.pk).update(state=State.CANCELLED)
    finish = queues.finish

    def away(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(queues, "finish", away)
    assert _claim() == [fresh]

    monkeypatch.setattr(queues, "finish", finish)
    assert TELLER.tell_untold()
    assert redis_client.zcard("rq:wip:email") == 1


def test_without_redis_nothing_is_claimed(redis_closed: object) -> None:
    job = enqueue(SUCCEED)

    with pytest.raises(BrokerUnavailable):
        _claim()
    assert Job.objects.get(pk=job.pk).state == State.WAITING


def test_a_foreign_message_is_not_run_and_hurts_no_other(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", "99999999999999999999-1", "5-1x", "foreign")
    job = published()

    assert _claim() == [job]


def test_a_deadline_counts_from_the_claim() -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(run_at=Now() - timedelta(days=1))
    row = claim_row(job)

    assert row.deadline_at is not None
    assert row.deadline_at > database_now("default")
