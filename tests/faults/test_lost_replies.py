"""Replies of Redis that get lost after it did what it was asked: one effect each, and the work goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from django.conf import LazySettings

from jobqueue.delivery import outbox
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.faults.lossy_proxy import LossyProxy, script_sha
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
# So that a test does not wait for 15 seconds until a message counts as lost.
SOON_LOST = {"LOST_AFTER": 2}
ONCE = 1
EVERY_TRY = 3
"""So often a worker sends a command before it takes Redis for unavailable."""


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[LossyProxy]:
    """Between whoever uses it and Redis."""
    lossy = LossyProxy(redis_server.host, redis_server.port)
    yield lossy
    lossy.cut()


@pytest.fixture
def saves_through(proxy: LossyProxy, settings: LazySettings) -> LossyProxy:
    """This process, which saves, reaches Redis through the proxy."""
    settings.RQ_QUEUES = {name: config | {"PORT": proxy.port} for name, config in settings.RQ_QUEUES.items()}
    return proxy


def ended_well(workload: Workload, names: list[str]) -> None:
    """Every job had its effect once, in its first attempt."""
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("attempt", "state")) == {(1, "completed")}


@pytest.mark.parametrize("times", [ONCE, EVERY_TRY])
@pytest.mark.parametrize("script", ["claim", "finish"])
def test_lost_replies_to_a_worker_lose_and_double_nothing(
    script: str, times: int, rqworker: StartWorker, workload: Workload, proxy: LossyProxy
) -> None:
    worker = rqworker("--processes", "1", REDIS_PORT=str(proxy.port), jobqueue=SOON_LOST)
    names = []
    for number in range(3):
        proxy.lose_replies(script_sha(script), times)
        names += note_jobs(20, prefix=f"round-{number}")
        proxy.wait_until_lost()

    wait_until_done()
    ended_well(workload, names)
    assert worker.stop() == 0


@pytest.mark.parametrize("times", [ONCE, EVERY_TRY])
def test_lost_replies_to_the_relay_lose_and_double_nothing(
    times: int, rqworker: StartWorker, workload: Workload, proxy: LossyProxy
) -> None:
    worker = rqworker("--processes", "1", REDIS_PORT=str(proxy.port), jobqueue=SOON_LOST)
    names = []
    for number in range(3):
        names.append(f"delayed-{number}")
        proxy.lose_replies(script_sha("publish"), times)
        note(names[-1], delay=0.2)
        proxy.wait_until_lost()

    wait_until_done()
    ended_well(workload, names)
    assert worker.stop() == 0


def test_the_relay_says_that_redis_did_not_answer_and_that_it_goes_on(
    rqworker: StartWorker, workload: Workload, proxy: LossyProxy
) -> None:
    worker = rqworker("--processes", "1", REDIS_PORT=str(proxy.port))
    proxy.lose_replies(script_sha("publish"), EVERY_TRY)

    note("delayed", delay=0.2)

    worker.wait_for_line("relay cannot work for now: BrokerUnavailable")
    worker.wait_for_line("relay works again")
    assert workload.wait_for_effects(1) == {"delayed": 1}


@pytest.mark.parametrize("times", [ONCE, EVERY_TRY])
def test_a_lost_reply_to_a_save_leaves_one_message(
    times: int, saves_through: LossyProxy, workload: Workload, redis_client: redis.Redis
) -> None:
    note("first")  # Redis knows the script from now on
    redis_client.flushdb()
    saves_through.lose_replies(script_sha("publish"), times)

    job = note("second")
    saves_through.lose_replies(b"", 0)
    outbox.publish_due("default")

    assert redis_client.lrange("rq:queue:email", 0, -1) == [job.message_id.encode()]


def test_lost_replies_to_saves_lose_and_double_nothing(
    rqworker: StartWorker, workload: Workload, saves_through: LossyProxy, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"PUBLISH_PAUSE": 0}
    note("first")
    rqworker(jobqueue=SOON_LOST)
    names = ["first"]
    for number in range(20):
        saves_through.lose_replies(script_sha("publish"), ONCE)
        names.append(f"lost-{number}")
        note(names[-1])

    wait_until_done()
    ended_well(workload, names)


def test_lost_replies_to_transactions_of_rq_do_not_harm_the_worker(
    rqworker: StartWorker, workload: Workload, proxy: LossyProxy, redis_client: redis.Redis
) -> None:
    worker = rqworker("--name", "worker-1", REDIS_PORT=str(proxy.port), jobqueue=SOON_LOST)
    proxy.lose_replies(b"EXEC", ONCE)
    redis_client.delete("rq:worker:worker-1")  # so that the worker registers with RQ again
    names = note_jobs(20)
    proxy.wait_until_lost()

    wait_until_done()
    ended_well(workload, names)
    assert worker.stop() == 0


def test_a_lost_reply_while_the_worker_registers_with_rq_does_not_end_it(
    rqworker: StartWorker, workload: Workload, proxy: LossyProxy
) -> None:
    proxy.lose_replies(b"EXEC", ONCE)
    enqueue("workload.note.email", name="first")

    rqworker(REDIS_PORT=str(proxy.port))

    proxy.wait_until_lost()
    assert workload.wait_for_effects(1) == {"first": 1}
