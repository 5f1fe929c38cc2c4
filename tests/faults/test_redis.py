"""Redis down, hanging, restarted empty or flushed: no save fails, every job runs once, nobody has to act."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from jobqueue.broker import counters
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.proxy import Proxy
from tests.faults.steps import QUEUES, last_for
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
# So that a test does not wait for 15 seconds until a message counts as lost.
SOON_LOST = {"LOST_AFTER": 2}


@pytest.fixture
def queue_client(queue_redis: RedisServer) -> Iterator[redis.Redis]:
    """A client of the queues' private Redis."""
    with redis.Redis(host=queue_redis.host, port=queue_redis.port, db=1) as client:
        yield client


def test_jobs_saved_while_redis_is_down_run_when_it_is_back(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    rqworker(redis=queue_redis)
    queue_redis.stop()
    names = note_jobs(20)

    queue_redis.start()

    wait_until_done()
    assert workload.effects() == Counter(names)


def test_redis_restarted_empty_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    names = note_jobs(20)
    slow = enqueue("workload.wait", name="slow")
    worker = rqworker(queues=("settlement",), redis=queue_redis, jobqueue=SOON_LOST)
    workload.wait_for_start("slow")

    queue_redis.kill()
    queue_redis.start()
    rqworker(redis=queue_redis, jobqueue=SOON_LOST)
    workload.open_gate("slow")

    wait_until_done()
    assert workload.effects() == Counter([*names, "slow"])
    slow.refresh_from_db()
    assert (slow.state, slow.attempt) == ("completed", 1)
    assert worker.is_running()


def test_a_restart_of_redis_under_running_jobs_doubles_nothing_and_needs_nobody(
    rqworker: StartWorker, workload: Workload, persistent_queue_redis: RedisServer
) -> None:
    worker = rqworker("--processes", "2", "--threads", "10", redis=persistent_queue_redis)
    running = [f"running-{number}" for number in range(20)]
    for name in running:
        enqueue("workload.wait", name=name)
    for name in running:
        workload.wait_for_start(name)
    processes = worker.children()

    persistent_queue_redis.stop()
    persistent_queue_redis.start()
    for name in running:
        workload.open_gate(name)
    names = note_jobs(30, prefix="after")
    wait_until_done(30)

    assert workload.effects() == Counter([*running, *names])
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
    assert worker.children() == processes


def test_a_flush_with_queued_delayed_and_running_jobs_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer, queue_client: redis.Redis
) -> None:
    running = [f"running-{number}" for number in range(4)]
    rqworker("--processes", "2", "--threads", "2", redis=queue_redis, jobqueue=SOON_LOST)
    for name in running:
        enqueue("workload.wait", name=name)
    for name in running:
        workload.wait_for_start(name)
    queued = note_jobs(50, prefix="queued")
    delayed = [f"delayed-{number}" for number in range(20)]
    for name in delayed:
        note(name, delay=3)

    queue_client.flushall()
    for name in running:
        workload.open_gate(name)

    wait_until_done()
    assert workload.effects() == Counter([*running, *queued, *delayed])


def test_rq_knows_the_worker_again_after_a_flush(
    rqworker: StartWorker, queue_redis: RedisServer, queue_client: redis.Redis
) -> None:
    rqworker("--name", "worker-1", redis=queue_redis)

    queue_client.flushall()

    wait_until(lambda: queue_client.smembers("rq:workers") == {b"rq:worker:worker-1"})


def test_a_redis_that_hangs_for_a_while_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    rqworker(redis=queue_redis, jobqueue=SOON_LOST | {"REDIS_TIMEOUT": 1})
    names = note_jobs(60, prefix="before")
    workload.wait_for_effects(10)

    queue_redis.pause()
    names += note_jobs(30, prefix="during")
    last_for(4)  # longer than the worker waits for an answer
    queue_redis.resume()

    names += note_jobs(30, prefix="after")
    wait_until_done()
    assert workload.effects() == Counter(names)


def test_a_worker_stops_in_time_while_redis_hangs(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    worker = rqworker("--shutdown-timeout", "1", redis=queue_redis)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    queue_redis.pause()

    begin = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begin < 12
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 1)


def test_a_job_that_ends_while_redis_is_down_has_its_effect_once(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer, queue_client: redis.Redis
) -> None:
    rqworker(redis=queue_redis)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    queue_redis.stop()
    workload.open_gate("slow")
    wait_until_done()

    queue_redis.start()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"slow": 1}
    wait_until(lambda: queue_client.exists("rq:jobqueue:counters"), timeout=5)


@pytest.mark.parametrize(
    "step", ["jobqueue.worker.settling.settle:before", "jobqueue.broker.queues.finish:before"]
)
def test_redis_gone_at_the_very_moment_a_job_ends_does_not_double_its_effect(
    step: str, rqworker: StartWorker, workload: Workload, persistent_queue_redis: RedisServer
) -> None:
    worker = rqworker(redis=persistent_queue_redis, jobqueue=SOON_LOST, WORKLOAD_HANG_AT=step)
    job = note("once")
    workload.wait_for_hang()

    persistent_queue_redis.stop()
    workload.end_hang()
    wait_until_done()
    persistent_queue_redis.start()
    note("next")
    workload.wait_for_effects(2)
    last_for(2 * SOON_LOST["LOST_AFTER"])  # long enough to publish it again, if it were taken for lost

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"once": 1, "next": 1}
    assert worker.is_running()


def test_what_ended_while_redis_was_away_is_counted_when_it_is_back(
    rqworker: StartWorker, workload: Workload, persistent_queue_redis: RedisServer
) -> None:
    server = persistent_queue_redis
    rqworker(redis=server)
    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    server.stop()
    workload.open_gate("slow")
    wait_until_done()

    server.start()

    def completed() -> float:
        with contextlib.suppress(Exception):
            stored = counters.read()
            return sum(value for name, value in stored.items() if '"completed"' in name)
        return 0

    wait_until(completed, timeout=5)
    with redis.Redis(host=server.host, port=server.port, db=1) as client:
        assert [client.zcard(f"rq:wip:{queue}") for queue in QUEUES] == [0, 0, 0]


def test_a_worker_started_while_redis_is_down_waits_for_it(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    queue_redis.stop()
    note("early")
    worker = rqworker(redis=queue_redis, wait=False)
    worker.wait_for_line("waiting for Redis")

    queue_redis.start()

    worker.wait_until_ready()
    assert workload.wait_for_effects(1) == {"early": 1}


def test_a_worker_survives_redis_going_away_and_coming_back(
    rqworker: StartWorker, workload: Workload, queue_redis: RedisServer
) -> None:
    worker = rqworker(redis=queue_redis)
    queue_redis.stop()
    worker.wait_for_line("cannot claim jobs for now")
    queue_redis.start()

    note("after")

    workload.wait_for_effects(1, timeout=10)
    assert worker.stop() == 0


def test_connections_broken_under_load_lose_and_double_nothing(
    rqworker: StartWorker, workload: Workload, redis_server: RedisServer
) -> None:
    proxy = Proxy(redis_server.host, redis_server.port)
    rqworker(REDIS_PORT=str(proxy.port), jobqueue=SOON_LOST)
    names = []
    for number in range(5):
        names += note_jobs(40, prefix=f"round-{number}")
        workload.wait_for_effects(len(names) - 30)
        proxy.drop_connections()

    wait_until_done()
    proxy.cut()
    assert workload.effects() == Counter(names)


def test_answers_that_get_lost_lose_and_double_nothing(
    rqworker: StartWorker, workload: Workload, redis_server: RedisServer
) -> None:
    with _answers_lost(redis_server) as (port, lose):
        rqworker("--processes", "1", REDIS_PORT=str(port), jobqueue=SOON_LOST)
        names = []
        for number in range(5):
            lose.set()  # the next answer to a script: of a claim, of a finish, of a publication
            names += note_jobs(20, prefix=f"round-{number}")
            wait_until(lambda: not lose.is_set())

        wait_until_done()
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("attempt", "state")) == {(1, "completed")}


@contextlib.contextmanager
def _answers_lost(server: RedisServer) -> Iterator[tuple[int, threading.Event]]:
    """A proxy that, while the event is set, lets a script run and then drops its answer."""
    lose = threading.Event()

    class Losing(Proxy):
        def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    is_request = target.getpeername()[1] == server.port
                    target.sendall(data)
                    if is_request and b"EVALSHA" in data and lose.is_set():
                        lose.clear()
                        source.shutdown(socket.SHUT_RDWR)
            super()._pass_on(source, target)

    proxy = Losing(server.host, server.port)
    try:
        yield proxy.port, lose
    finally:
        proxy.cut()
