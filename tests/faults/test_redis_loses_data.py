"""Redis forgets, is full, or evicts: no save fails, health says so, every job runs once afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from django.db.models import F
from django.test import Client

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
# So that a test does not wait for 15 seconds until a message counts as lost.
SOON_LOST = {"LOST_AFTER": 2}
AFTER_DUE = timedelta(seconds=60)
"""How long after it was due a job that Redis lost may have ended."""


@pytest.fixture
def queue_client(queue_redis: RedisServer) -> Iterator[redis.Redis]:
    """A client of the queues' private Redis."""
    with redis.Redis(host=queue_redis.host, port=queue_redis.port, db=1) as client:
        yield client


def test_a_flush_with_queued_delayed_and_running_jobs_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer, queue_client: redis.Redis
) -> None:
    """With the settings that everybody has."""
    running = [f"running-{number}" for number in range(5)]
    Queue.objects.create(name="email", paused=True)
    rqworker(redis=queue_redis)
    for name in running:
        enqueue("workload.wait", name=name)
    for name in running:
        workload.wait_for_start(name)
    queued = [f"queued-{number}" for number in range(100)]
    for name in queued:
        note(name)
    reminders = [f"reminder-{number}" for number in range(100)]
    for name in reminders:
        note(name, queue="reminders", delay=3)
    assert queue_client.llen("rq:queue:email") == 100

    queue_client.flushall()
    Queue.objects.update(paused=False)
    for name in running:
        workload.open_gate(name)

    wait_until_done(timeout=60)
    assert workload.effects() == Counter([*running, *queued, *reminders])
    assert not Job.objects.filter(finished_at__gt=F("run_at") + AFTER_DUE).exists()


def health(client: Client) -> tuple[int, str]:
    """The code and the status that `/health/queues` answers."""
    response = client.get("/health/queues")
    return response.status_code, response.json()["status"]


def used_memory(client: redis.Redis) -> int:
    """The bytes that Redis counts against its limit."""
    info = client.info("memory")
    return int(info["used_memory"]) - int(info["mem_not_counted_for_evict"])


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_full_redis_fails_no_save_and_loses_nothing(
    rqworker: StartWorker,
    workload: Workload,
    queue_redis: RedisServer,
    queue_client: redis.Redis,
    client: Client,
) -> None:
    worker = rqworker(redis=queue_redis)
    names = note_jobs(50, prefix="before")
    assert health(client) == (200, "UP")

    queue_client.config_set("maxmemory", 1)
    for number in range(100):
        names.append(f"during-{number}")
        note(names[-1])
    names += note_jobs(100, prefix="at once")
    with pytest.raises(redis.OutOfMemoryError):
        queue_client.set("anything", "1")
    assert health(client) == (503, "DOWN")

    queue_client.config_set("maxmemory", 0)
    wait_until_done()
    assert health(client) == (200, "UP")
    assert workload.effects() == Counter(names)
    assert worker.is_running()


def test_a_worker_started_while_redis_is_full_runs_what_is_queued(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer, queue_client: redis.Redis
) -> None:
    names = note_jobs(50)
    queue_client.config_set("maxmemory", 1)

    rqworker(redis=queue_redis)

    workload.wait_for_effects(50)
    wait_until_done()
    assert workload.effects() == Counter(names)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_redis_that_evicts_messages_fails_no_save_and_loses_nothing(
    rqworker: StartWorker,
    workload: Workload,
    queue_redis: RedisServer,
    queue_client: redis.Redis,
    client: Client,
) -> None:
    queue_client.config_set("maxmemory-policy", "allkeys-lru")
    # Room for messages beside what scripts and connections take. How many depends on the version of Redis.
    queue_client.config_set("maxmemory", used_memory(queue_client) + 2_000_000)
    names = []
    while queue_client.info("stats")["evicted_keys"] <= 1000:
        assert len(names) < 20_000
        names += note_jobs(100, prefix=f"after {len(names)}")
    assert health(client) == (503, "DOWN")
    worker = rqworker(redis=queue_redis, jobqueue=SOON_LOST)
    workload.wait_for_effects(1)

    queue_client.config_set("maxmemory", 0)
    wait_until_done(timeout=40)
    assert health(client) == (200, "UP")
    assert workload.effects() == Counter(names)
    assert worker.is_running()
