"""Redis is demoted to a replica behind the same address: it refuses every write on connections there are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis
from django.conf import LazySettings

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from spendsync_site.demo.processes import LOOPBACK
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.proxy import Proxy
from tests.faults.steps import last_for
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
SOON = {"LOST_AFTER": 2}
WITHIN = 10.0
"""Seconds after which all works again."""


class FailingOver:
    """An address with a master behind it, and a replica of that one that may take its place."""

    def __init__(self, master: RedisServer, replica: RedisServer) -> None:
        self._servers = {server.port: server for server in (master, replica)}
        self.clients = {port: redis.Redis(port=port, db=1) for port in self._servers}
        for client in self.clients.values():
            client.config_set("repl-diskless-sync-delay", 0)
        self._master, self._replica = master.port, replica.port
        self._follow(self._replica, self._master)
        self._proxy = Proxy(LOOPBACK, self._master)
        self.port = self._proxy.port

    def fail_over(self) -> None:
        """Demote the master, promote its replica, and give that one the address; no connection breaks."""
        self.demote()
        self.clients[self._replica].replicaof("NO", "ONE")
        self._proxy.move(LOOPBACK, self._replica)
        self._master, self._replica = self._replica, self._master
        self._follow(self._replica, self._master)

    def demote(self) -> None:
        """The server behind the address becomes a replica, of one that is none itself."""
        self.clients[self._master].replicaof(LOOPBACK, self._replica)

    def promote_again(self) -> None:
        """It is the master again."""
        self.clients[self._master].replicaof("NO", "ONE")

    def _follow(self, replica: int, master: int) -> None:
        self.clients[replica].replicaof(LOOPBACK, master)
        wait_until(lambda: self.clients[replica].info("replication")["master_link_status"] == "up")

    def close(self) -> None:
        self._proxy.cut()
        for client in self.clients.values():
            client.close()


@pytest.fixture
def failing_over(private_redis: Callable[..., RedisServer], settings: LazySettings) -> Iterator[FailingOver]:
    """The Redis of the queues, of this process too; start workers with `REDIS_PORT`."""
    found = FailingOver(private_redis(), private_redis())
    settings.RQ_QUEUES = {
        name: config | {"HOST": LOOPBACK, "PORT": found.port} for name, config in settings.RQ_QUEUES.items()
    }
    yield found
    found.close()


def test_a_failover_behind_the_same_address_loses_and_doubles_nothing_and_needs_nobody(
    rqworker: StartWorker, workload: Workload, failing_over: FailingOver
) -> None:
    worker = rqworker("--processes", "2", REDIS_PORT=str(failing_over.port), jobqueue=SOON)
    slow = enqueue("workload.wait", name="slow")
    delayed = note("delayed", delay=2)
    names = note_jobs(60, prefix="before")
    workload.wait_for_start("slow")
    workload.wait_for_effects(10)
    processes = worker.children()

    failing_over.fail_over()
    moved_at = time.monotonic()
    names += note_jobs(30, prefix="after")
    workload.wait_for_effects(len(names) + 1, timeout=WITHIN)
    workload.open_gate("slow")
    wait_until_done(WITHIN)

    assert time.monotonic() - moved_at < 2 * WITHIN
    assert workload.effects() == Counter([*names, "slow", "delayed"])
    assert set(Job.objects.values_list("state", "failures")) == {("completed", 0)}
    assert {slow.attempt, delayed.attempt} == {1}
    assert worker.children() == processes


def test_saves_succeed_in_time_while_redis_refuses_writes(
    workload: Workload, failing_over: FailingOver
) -> None:
    note("before")
    failing_over.demote()

    took = []
    for number in range(20):
        begin = time.monotonic()
        note(f"during-{number}")
        took.append(time.monotonic() - begin)

    assert Job.objects.waiting().count() == 21
    assert sorted(took)[-2] < 0.1


def test_saves_reach_the_new_master_though_their_connections_are_to_the_old_one(
    workload: Workload, failing_over: FailingOver
) -> None:
    note("before")
    _old, new = failing_over.clients.values()
    wait_until(lambda: new.llen("rq:queue:email") == 1)
    failing_over.fail_over()

    def reaches_it() -> bool:
        note("after")
        return new.llen("rq:queue:email") > 1

    wait_until(reaches_it, timeout=WITHIN, interval=0.2)


def test_a_master_that_is_demoted_and_promoted_again_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, failing_over: FailingOver
) -> None:
    worker = rqworker("--processes", "1", REDIS_PORT=str(failing_over.port), jobqueue=SOON)
    names = note_jobs(20, prefix="before")
    workload.wait_for_effects(20)

    failing_over.demote()
    names += note_jobs(20, prefix="during")
    worker.wait_for_line("cannot claim jobs for now.*(READONLY|ReadOnly|UNBLOCKED)")
    last_for(1)
    failing_over.promote_again()

    names += note_jobs(20, prefix="after")
    workload.wait_for_effects(len(names), timeout=WITHIN)
    wait_until_done()
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}


def test_rq_hears_of_the_worker_at_the_new_master(
    rqworker: StartWorker, workload: Workload, failing_over: FailingOver
) -> None:
    often = SOON | {"HEARTBEAT_INTERVAL": 0.5}
    rqworker("--name", "worker-1", REDIS_PORT=str(failing_over.port), jobqueue=often)
    _old, new = failing_over.clients.values()
    failing_over.fail_over()

    def last_heartbeat() -> object:
        return new.hget("rq:worker:worker-1", "last_heartbeat")

    before = last_heartbeat()
    wait_until(lambda: last_heartbeat() != before, timeout=WITHIN)


def test_a_rotated_password_is_an_outage_that_names_the_setting_and_ends_with_it(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    worker = rqworker(redis=queue_redis, jobqueue=SOON)
    with redis.Redis(port=queue_redis.port) as operator:
        operator.config_set("requirepass", "a new one")
        operator.client_kill_filter(_type="normal", skipme=True)
        operator.client_kill_filter(_type="pubsub", skipme=True)
        note("meanwhile")
        worker.wait_for_line("cannot claim jobs for now.*PASSWORD and USERNAME in RQ_QUEUES")

        operator.config_set("requirepass", "")

    assert workload.wait_for_effects(1, timeout=WITHIN) == {"meanwhile": 1}
    wait_until_done()
    assert worker.is_running()
