"""Redis fails over to a replica that did not hear of what came last: nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
from django.conf import LazySettings

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue
from spendsync_site.demo.processes import LOOPBACK
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.proxy import Proxy
from tests.workload.fixtures import Workload, note, wait_until_done

pytestmark = pytest.mark.soak

AFTER_FAILOVER = 60.0
"""Seconds after which everything that was known to the lost server alone is done."""


class ReplicatedRedis:
    """A server and its replica; the address that clients know and the link between the two are proxies."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self._first, self._second = first, second
        self._link = Proxy(first.host, first.port)
        self.address = Proxy(first.host, first.port)
        self._replica = redis.Redis(host=second.host, port=second.port, db=1)
        self._replica.replicaof(LOOPBACK, self._link.port)
        wait_until(lambda: self._replica.info("replication")["master_link_status"] == "up")

    def length_at_the_replica(self, queue: str) -> int:
        """How many messages of the queue the replica knows."""
        return int(self._replica.llen(f"rq:queue:{queue}"))

    def lag(self) -> None:
        """From now on the replica hears nothing of what the first server is told."""
        self._link.cut()

    def fail_over(self) -> None:
        """Lose the first server; the replica takes its place and its address."""
        self._first.kill()
        self._replica.replicaof("NO", "ONE")
        self.address.redirect(self._second.host, self._second.port)

    def close(self) -> None:
        """End the proxies."""
        self.address.cut()
        self._link.cut()
        self._replica.close()


@pytest.fixture
def replicated_redis(
    private_redis: Callable[..., RedisServer], settings: LazySettings
) -> Iterator[ReplicatedRedis]:
    """A Redis with a replica for the queues, which this process uses too."""
    with ExitStack() as stack:
        replicated = ReplicatedRedis(private_redis(), private_redis())
        stack.callback(replicated.close)
        settings.RQ_QUEUES = {
            name: config | {"HOST": LOOPBACK, "PORT": replicated.address.port}
            for name, config in settings.RQ_QUEUES.items()
        }
        yield replicated


def note_emails(prefix: str, count: int) -> list[str]:
    """Enqueue so many jobs on the queue `email`; their names."""
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        note(name, queue="email")
    return names


def test_a_failover_to_a_replica_that_lags_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, replicated_redis: ReplicatedRedis
) -> None:
    Queue.objects.create(name="email", paused=True)
    worker = rqworker(REDIS_PORT=str(replicated_redis.address.port))
    names = note_emails("replicated", 25)
    wait_until(lambda: replicated_redis.length_at_the_replica("email") == 25)
    running = [f"running-{number}" for number in range(5)]
    for name in running:
        enqueue("workload.wait", name=name)
    for name in running:
        workload.wait_for_start(name)

    replicated_redis.lag()
    names += note_emails("not replicated", 25)
    for number in range(25):
        names.append(f"reminder-{number}")
        note(names[-1], queue="reminders", delay=3)
    assert replicated_redis.length_at_the_replica("email") == 25
    replicated_redis.fail_over()
    Queue.objects.update(paused=False)
    for name in running:
        workload.open_gate(name)

    wait_until_done(timeout=AFTER_FAILOVER)
    assert workload.effects() == Counter([*running, *names])
    assert set(Job.objects.values_list("state", "failures")) == {("completed", 0)}
    assert worker.is_running()


def test_a_failover_that_brings_messages_of_finished_jobs_back_starts_none_of_them_again(
    rqworker: StartWorker, workload: Workload, replicated_redis: ReplicatedRedis
) -> None:
    Queue.objects.create(name="email", paused=True)
    rqworker(REDIS_PORT=str(replicated_redis.address.port))
    names = note_emails("known", 25)
    wait_until(lambda: replicated_redis.length_at_the_replica("email") == 25)

    replicated_redis.lag()
    Queue.objects.update(paused=False)
    wait_until_done()
    replicated_redis.fail_over()

    wait_until(lambda: replicated_redis.length_at_the_replica("email") == 0)
    names += note_emails("after", 5)
    wait_until_done()
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
