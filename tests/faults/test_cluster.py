"""A Redis that is a node of a cluster cannot serve: it is named as such, and nothing is lost meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings

from jobqueue.broker import queues, server
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from spendsync_site.demo.processes import LOOPBACK
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.proxy import Proxy
from tests.faults.steps import ONE_JOB
from tests.jobqueue.broker.steps import messages
from tests.workload.fixtures import Workload, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
SLOTS = 16384
SOON = {"LOST_AFTER": 2}
WITHIN = 15.0
"""Seconds after which all works again."""
IS_NAMED = "This Redis is a node of a cluster"


class Node:
    """A server with `cluster-enabled yes`, without slots at first."""

    def __init__(self, started: RedisServer) -> None:
        self.server = started
        self.client = redis.Redis(port=started.port)

    def take_slots(self, first: int = 0, last: int = SLOTS - 1) -> None:
        """Serve these."""
        self.client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last + 1))

    def meet(self, other: Node) -> None:
        """Be one cluster with another node."""
        self.client.execute_command("CLUSTER", "MEET", LOOPBACK, other.server.port)

    def is_up(self) -> bool:
        """Whether its cluster serves all slots."""
        return b"cluster_state:ok" in self.client.execute_command("CLUSTER", "INFO")


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[[], Node]]:
    """Starts nodes."""
    nodes: list[Node] = []

    def start() -> Node:
        folder = tmp_path / f"node-{len(nodes)}"
        started = RedisServer(folder, options=("--cluster-enabled", "yes"))
        started.start()
        nodes.append(Node(started))
        return nodes[-1]

    yield start
    for node in nodes:
        node.client.close()
        node.server.stop()


@pytest.fixture
def use_server(settings: LazySettings) -> Callable[[int], None]:
    """Points the queues of this process at a port; a cluster has the database 0 alone."""

    def use(port: int) -> None:
        settings.RQ_QUEUES = {
            name: config | {"HOST": LOOPBACK, "PORT": port, "DB": 0}
            for name, config in settings.RQ_QUEUES.items()
        }

    return use


@pytest.fixture
def address(
    private_redis: Callable[..., RedisServer], use_server: Callable[[int], None]
) -> Iterator[tuple[Proxy, RedisServer]]:
    """The address of the queues, with a single server behind it, and that server."""
    single = private_redis()
    proxy = Proxy(LOOPBACK, single.port)
    use_server(proxy.port)
    yield proxy, single
    proxy.cut()


def _whole(node: Node) -> None:
    """All slots are on this node."""
    node.take_slots()
    wait_until(node.is_up)


def _without_slots(node: Node) -> None:
    """Nobody has any."""


@pytest.mark.parametrize("database", ["0", "1"])
@pytest.mark.parametrize("make", [_without_slots, _whole])
def test_a_worker_that_is_started_on_a_node_ends_and_names_the_setting(
    rqworker: StartWorker, start_node: Callable[[], Node], make: Callable[[Node], None], database: str
) -> None:
    node = start_node()
    make(node)

    worker = rqworker(*ONE_JOB, wait=False, redis=node.server, REDIS_JOB_QUEUE_DB=database)

    assert worker.wait() == 1
    assert "CommandError: Redis refuses this worker (queue email)" in worker.output
    assert worker.output.count(IS_NAMED) == 1
    assert "in RQ_QUEUES" in worker.output


def test_a_node_behind_the_address_loses_nothing_and_is_named_until_a_single_server_is_back(
    rqworker: StartWorker,
    workload: Workload,
    start_node: Callable[[], Node],
    address: tuple[Proxy, RedisServer],
) -> None:
    proxy, single = address
    port = {"REDIS_PORT": str(proxy.port), "REDIS_JOB_QUEUE_DB": "0"}
    worker = rqworker("--processes", "1", jobqueue=SOON, **port)
    names = note_jobs(10, prefix="before")
    workload.wait_for_effects(10)
    node = start_node()

    proxy.redirect(LOOPBACK, node.server.port)
    names += note_jobs(10, prefix="without slots")
    worker.wait_for_line(f"cannot claim jobs for now.*{IS_NAMED}")
    _whole(node)
    names += note_jobs(10, prefix="with slots")
    proxy.redirect(LOOPBACK, single.port)

    names += note_jobs(10, prefix="after")
    workload.wait_for_effects(len(names), timeout=WITHIN)
    wait_until_done()
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
    assert worker.is_running()
    assert "Traceback" not in worker.output


def _half_of_a_cluster(node: Node, other: Node) -> None:
    node.take_slots(0, SLOTS // 2 - 1)
    other.take_slots(SLOTS // 2)
    node.meet(other)
    wait_until(lambda: node.is_up() and other.is_up())


def test_every_way_to_a_node_among_others_says_what_it_is(
    start_node: Callable[[], Node], use_server: Callable[[int], None]
) -> None:
    node, other = start_node(), start_node()
    _half_of_a_cluster(node, other)
    use_server(node.server.port)
    for ask in (lambda: queues.publish(messages(1)), lambda: server.check_writable()):
        with pytest.raises(BrokerUnavailable, match=IS_NAMED):
            ask()


def test_a_whole_cluster_on_one_node_is_no_place_for_queues_either(
    start_node: Callable[[], Node], use_server: Callable[[int], None]
) -> None:
    node = start_node()
    _whole(node)
    use_server(node.server.port)
    with pytest.raises(BrokerUnavailable, match=IS_NAMED):
        server.check_writable()
