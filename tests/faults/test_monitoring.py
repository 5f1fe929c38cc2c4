"""Dashboards and scrapers that read all the time: they change nothing and double no job."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from rq import Queue as RQQueue
from rq import Worker as RQWorker
from rq.registry import (
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue, Worker
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done
from tests.workload.processors import QUEUES

THREADS = 8
READS_A_SECOND = 50
"""By all threads together."""
# The heartbeat's clock for tests that do not measure it.
QUICK = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2, "LOST_AFTER": 2}
PAGES = [
    "/health/queues",
    "/health/ready",
    "/metrics",
    "/admin/jobqueue/job/",
    "/admin/jobqueue/failedjob/",
    "/admin/jobqueue/stuckjob/",
    "/admin/jobqueue/queue/",
    "/admin/jobqueue/queue/counts/",
    "/admin/jobqueue/worker/",
]
# What a connection says at its start, and what asks nothing of the data.
HARMLESS = {"AUTH", "CLIENT", "COMMAND", "HELLO", "INFO", "PING", "SELECT"}


@pytest.fixture
def patient_probes(settings: LazySettings) -> None:
    """No answer is too late, however busy readers keep the machine."""
    settings.JOBQUEUE = settings.JOBQUEUE | {"HEALTH_TIMEOUT": 20.0}


with_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])
Read = Callable[[], None]


class Readers:
    """Threads that read one thing after the other until they are stopped."""

    def __init__(self, make_reads: Callable[[], list[Read]]) -> None:
        self._make_reads = make_reads
        self._stop = threading.Event()
        self._counted = threading.Condition()
        self.count = 0
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def wait_for_reads(self, number: int, timeout: float = 60) -> None:
        """Return once so many more reads are done."""
        with self._counted:
            goal = self.count + number
            assert self._counted.wait_for(lambda: self.count >= goal or self.errors, timeout), self.count

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, whatever became of the test: no other test wants them."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _read(self) -> None:
        try:
            for read in cycle(self._make_reads()):
                read()
                with self._counted:
                    self.count += 1
                    self._counted.notify_all()
                if self._stop.wait(THREADS / READS_A_SECOND):
                    return
        except BaseException as error:
            self.errors.append(error)
            with self._counted:
                self._counted.notify_all()
        finally:
            connections.close_all()


def reads_of_pages(admin: User) -> list[Read]:
    """One read for each of our own pages, with a client of its own."""
    client = Client()
    client.force_login(admin)

    def read(path: str) -> Read:
        def get() -> None:
            assert client.get(path).status_code == 200, path

        return get

    return [read(path) for path in PAGES]


def reads_of_rq(connection: redis.Redis) -> list[Read]:
    """What dashboards made for RQ read, with the side effects that these reads have."""
    registries: list[Any] = [
        registry(name, connection=connection)
        for registry in (
            StartedJobRegistry,
            FailedJobRegistry,
            FinishedJobRegistry,
            ScheduledJobRegistry,
            DeferredJobRegistry,
        )
        for name in QUEUES
    ]
    queues = [RQQueue(name, connection=connection) for name in QUEUES]

    def count_registries() -> None:
        for registry in registries:
            len(registry)

    def list_registries() -> None:
        for registry in registries:
            registry.get_job_ids()

    def look_at_queues() -> None:
        for queue in queues:
            _ = queue.count, queue.get_job_ids(), RQWorker.all(queue=queue)

    return [count_registries, list_registries, look_at_queues]


@contextmanager
def monitored(client: redis.Redis) -> Iterator[Counter[str]]:
    """The commands that Redis gets inside the block, by name."""
    commands: Counter[str] = Counter()
    with client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                if command["command"] == "ECHO end of monitoring":
                    return
                commands[command["command"].split(" ", 1)[0].upper()] += 1

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield commands
        client.echo("end of monitoring")
        thread.join(10)
        assert not thread.is_alive()


def that_write(client: redis.Redis, commands: Counter[str]) -> list[str]:
    """Those of the commands that Redis itself does not call reading."""
    known = client.command()
    return [
        name
        for name in commands
        if name not in HARMLESS and "readonly" not in known.get(name.lower(), {}).get("flags", [])
    ]


def abandon_jobs(rqworker: StartWorker, workload: Workload, redis_client: redis.Redis) -> list[str]:
    """Jobs that run, wait and were just taken when their worker is lost; their names."""
    Queue.objects.create(name="reminders", paused=True)
    worker = rqworker("--processes", "1", jobqueue=QUICK)
    running = [f"running-{number}" for number in range(5)]
    for name in running:
        enqueue("workload.wait", name=name)
    for name in running:
        workload.wait_for_start(name)
    waiting = [f"waiting-{number}" for number in range(20)]
    for name in waiting:
        note(name, "reminders")
    worker.kill()
    assert redis_client.zcard("rq:wip:settlement") == len(running)
    return running + waiting


@with_databases
def test_our_pages_change_nothing_in_redis_while_jobs_are_abandoned(
    rqworker: StartWorker,
    workload: Workload,
    redis_client: redis.Redis,
    admin_user: User,
    patient_probes: None,
) -> None:
    abandon_jobs(rqworker, workload, redis_client)
    lost = Worker.objects.get()
    rows = list(Job.objects.order_by("pk").values())
    wait_until(lambda: not redis_client.exists("rq:jobqueue:lead"))  # the last word of the lost worker

    with monitored(redis_client) as commands, Readers(lambda: reads_of_pages(admin_user)) as readers:
        readers.wait_for_reads(2 * THREADS * len(PAGES))

    assert readers.errors == []
    assert commands["HGETALL"] > 0  # the counters were read, so the monitor sees the pages
    writing = ["SET", "EVALSHA", "ZREMRANGEBYSCORE"]
    assert that_write(redis_client, Counter(writing)) == writing
    assert that_write(redis_client, commands) == []
    assert list(Job.objects.order_by("pk").values()) == rows
    assert Worker.objects.get().heartbeat_at == lost.heartbeat_at


@with_databases
def test_reading_all_the_time_doubles_no_job_while_jobs_are_abandoned(
    rqworker: StartWorker,
    workload: Workload,
    redis_client: redis.Redis,
    admin_user: User,
    patient_probes: None,
) -> None:
    names = abandon_jobs(rqworker, workload, redis_client)
    with Readers(lambda: [*reads_of_rq(redis_client), *reads_of_pages(admin_user)]) as readers:
        readers.wait_for_reads(2 * THREADS)
        Queue.objects.update(paused=False)

        second = rqworker("--processes", "1", jobqueue=QUICK)
        for number in range(5):
            workload.wait_for_start(f"running-{number}")  # rescued
        second.kill()
        rqworker("--processes", "1", jobqueue=QUICK)
        names += note_jobs(50, prefix="more")
        for number in range(5):
            workload.open_gate(f"running-{number}")
        wait_until_done(timeout=40)
        readers.wait_for_reads(max(2 * THREADS, 100 - readers.count))

    assert readers.errors == []
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", flat=True)) == {"completed"}
    assert readers.count >= 100
