"""The relay: what is due is published, by one relay at its time and by the others if that one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import redis
from django.conf import LazySettings
from django.db.models.functions import Now

from jobqueue.broker import bell, counters
from jobqueue.delivery import outbox
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from jobqueue.worker.relay import Relay
from spendsync_site.demo.processes import LOOPBACK, free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import ON_REMINDERS, SUCCEED
from tests.jobqueue.steps import IDENTITY, TELLER, claim_jobs, claimed, list_of, run

in_both_databases = pytest.mark.django_db(databases=["default", "other"])
State = Job.State


@pytest.fixture(autouse=True)
def _bells_are_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A relay that waited listens until its connection ends: it would take the next test's ring."""
    bells: list[bell.Bell] = []
    relay_bell = bell.relay_bell

    def noted() -> bell.Bell:
        bells.append(relay_bell())
        return bells[-1]

    monkeypatch.setattr(bell, "relay_bell", noted)
    yield
    for listening in bells:
        listening.leave()


def _overdue(count: int = 1, processor: str = SUCCEED, *, seconds: float = 0) -> list[Job]:
    """Jobs that are due for so long and that nobody has published."""
    jobs = enqueue_many([(processor, {})] * count)
    ids = [job.pk for job in jobs]
    Job.objects.filter(pk__in=ids).update(published_at=None, run_at=Now() - timedelta(seconds=seconds))
    return list(Job.objects.filter(pk__in=ids).order_by("pk"))


def _look_until_published(relay: Relay, redis_client: redis.Redis, timeout: float = 10.0) -> None:
    """Look as the loop does, until the queue `email` has a message."""
    deadline = time.monotonic() + timeout
    while not list_of(redis_client):
        assert time.monotonic() < deadline, f"nothing was published within {timeout} s"
        relay.wait(relay.look())


@in_both_databases
def test_it_publishes_what_is_due_in_every_database(redis_client: redis.Redis) -> None:
    _overdue(2)
    _overdue(1, ON_REMINDERS)
    there = enqueue(SUCCEED, using="other")
    Job.objects.using("other").filter(pk=there.pk).update(published_at=None)
    Relay("one", TELLER).look()

    assert len(list_of(redis_client)) == 3
    assert len(list_of(redis_client, "reminders")) == 1
    assert f"{there.pk}-1-other" in list_of(redis_client)


@in_both_databases
def test_it_publishes_again_what_redis_lost(
    settings: LazySettings, nothing_takes_time: None, redis_client: redis.Redis
) -> None:
    settings.JOBQUEUE = {"LOST_AFTER": 0}
    [job] = enqueue_many([(SUCCEED, {})])
    redis_client.flushall()
    Relay("one", TELLER).look()

    assert list_of(redis_client) == [job.message_id]


@in_both_databases
def test_it_sleeps_until_the_next_job_is_due() -> None:
    relay = Relay("one", TELLER)
    begin = time.monotonic()
    pause = relay.look()
    assert begin + 1.0 <= time.monotonic() + pause
    assert pause <= 1.0
    enqueue(SUCCEED, delay=0.8)
    relay.have_leader_look()

    assert 0 < relay.look() <= 0.8


@in_both_databases
def test_it_goes_on_at_once_while_there_is_more(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RELAY_BATCH": 2}
    _overdue(3)

    assert Relay("one", TELLER).look() == 0


@in_both_databases
def test_it_tells_redis_what_it_missed(redis_closed: UseRedis, redis_server: RedisServer) -> None:
    run(claimed())
    redis_closed(redis_server.host, redis_server.port)
    Relay("one", TELLER).look()

    assert counters.read()['["job_processing_total","email","completed"]'] == 1
    assert not TELLER._untold


@in_both_databases
def test_a_job_is_published_at_its_time_and_not_before(redis_client: redis.Redis) -> None:
    relay = Relay("one", TELLER)
    job = enqueue(SUCCEED, delay=0.2)
    _look_until_published(relay, redis_client)
    late = (database_now("default") - job.run_at) / timedelta(seconds=1)

    assert list_of(redis_client) == [job.message_id]
    assert 0 <= late < 1


@in_both_databases
def test_a_job_that_was_published_at_its_time_can_be_claimed_at_once(redis_client: redis.Redis) -> None:
    relay = Relay("one", TELLER)
    job = enqueue(SUCCEED, delay=0.05)
    _look_until_published(relay, redis_client)

    assert [each.job for each in claim_jobs(IDENTITY, 1)] == [job]


@in_both_databases
def test_what_nobody_claimed_is_marked_as_published_with_a_later_look(redis_client: redis.Redis) -> None:
    relay = Relay("one", TELLER)
    job = enqueue(SUCCEED, delay=0.05)
    _look_until_published(relay, redis_client)
    deadline = time.monotonic() + 10
    while not Job.objects.filter(pk=job.pk, published_at__isnull=False).exists():
        assert time.monotonic() < deadline
        relay.wait(relay.look())

    assert list_of(redis_client) == [job.message_id]


@in_both_databases
def test_a_job_that_was_cancelled_meanwhile_does_not_start(redis_client: redis.Redis) -> None:
    relay = Relay("one", TELLER)
    job = enqueue(SUCCEED, delay=0.2)
    relay.look()
    job.cancel()
    _look_until_published(relay, redis_client)

    assert claim_jobs(IDENTITY, 10) == []


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_job_with_a_nearer_time_wakes_the_relay_that_leads(redis_client: redis.Redis) -> None:
    relay = Relay("one", TELLER)
    enqueue(SUCCEED, delay=600)
    relay.wait(0)
    relay.look()
    woken_after: list[float] = []

    def wait() -> None:
        started = time.monotonic()
        relay.wait(20)
        woken_after.append(time.monotonic() - started)

    thread = threading.Thread(target=wait)
    thread.start()
    enqueue(SUCCEED, delay=2)
    thread.join(30)

    assert woken_after[0] < 10
    assert relay.look() <= 1.0
    assert len(outbox.upcoming("default", 3)) == 1


@in_both_databases
def test_the_others_leave_what_just_became_due_to_the_one_that_leads(redis_client: redis.Redis) -> None:
    Relay("one", TELLER).look()
    _overdue()
    Relay("two", TELLER).look()

    assert list_of(redis_client) == []


@in_both_databases
def test_the_others_publish_what_is_overdue(redis_client: redis.Redis) -> None:
    Relay("one", TELLER).look()
    [job] = _overdue(seconds=5)
    Relay("two", TELLER).look()

    assert list_of(redis_client) == [job.message_id]


@in_both_databases
def test_a_relay_that_ends_leaves_the_lead_to_the_next(redis_client: redis.Redis) -> None:
    first = Relay("one", TELLER)
    first.look()
    first.give_up_the_lead()
    [job] = _overdue()
    Relay("two", TELLER).look()

    assert list_of(redis_client) == [job.message_id]


@in_both_databases
def test_a_relay_that_slept_publishes_nothing_from_its_memory(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay("one", TELLER)
    job = enqueue(SUCCEED, delay=1)
    relay.look()
    Job.objects.filter(pk=job.pk).update(state=State.COMPLETED)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 70)
    relay.look()

    assert list_of(redis_client) == []


@in_both_databases
def test_without_redis_a_look_says_so_and_nothing_is_lost(redis_closed: UseRedis) -> None:
    _overdue()

    with pytest.raises(BrokerUnavailable):
        Relay("one", TELLER).look()
    assert Job.objects.filter(published_at__isnull=True).count() == 1


@in_both_databases
def test_a_redis_that_is_away_does_not_keep_the_queues_of_another_waiting(
    settings: LazySettings, redis_client: redis.Redis
) -> None:
    away = {**settings.RQ_QUEUES["email"], "HOST": LOOPBACK, "PORT": free_port()}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": away}
    _overdue(2)
    [served] = _overdue(processor=ON_REMINDERS)
    enqueue(SUCCEED, delay=1.5)
    at_its_time = enqueue(ON_REMINDERS, delay=1.5)

    relay = Relay("one", TELLER)
    with pytest.raises(BrokerUnavailable):
        relay.look()
    assert list_of(redis_client, "reminders") == [served.message_id]
    deadline = time.monotonic() + 10
    while len(list_of(redis_client, "reminders")) < 2 and time.monotonic() < deadline:
        with suppress(BrokerUnavailable):
            relay.wait(relay.look())
    assert list_of(redis_client, "reminders") == [served.message_id, at_its_time.message_id]


@in_both_databases
def test_more_due_jobs_than_a_batch_of_a_redis_that_is_away_do_not_keep_those_of_another_waiting(
    settings: LazySettings, redis_client: redis.Redis
) -> None:
    settings.JOBQUEUE = {"RELAY_BATCH": 2}
    away = {**settings.RQ_QUEUES["email"], "HOST": LOOPBACK, "PORT": free_port()}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": away}
    _overdue(5, seconds=60)
    [served] = _overdue(processor=ON_REMINDERS)

    with pytest.raises(BrokerUnavailable):
        Relay("one", TELLER).look()

    assert list_of(redis_client, "reminders") == [served.message_id]
    assert Job.objects.filter(queue="email", published_at__isnull=True).count() == 5


@in_both_databases
def test_what_one_redis_lost_is_published_again_while_another_is_away(
    settings: LazySettings, nothing_takes_time: None, redis_client: redis.Redis
) -> None:
    settings.JOBQUEUE = {"LOST_AFTER": 0}
    away = {**settings.RQ_QUEUES["email"], "HOST": LOOPBACK, "PORT": free_port()}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": away}
    enqueue_many([(SUCCEED, {})])
    [lost] = enqueue_many([(ON_REMINDERS, {})])
    redis_client.flushall()

    with suppress(BrokerUnavailable):
        Relay("one", TELLER).look()

    assert list_of(redis_client, "reminders") == [lost.message_id]
