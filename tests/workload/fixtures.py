"""Fixtures for tests on real workers: workers that know the workload, and a view of its effects.

Loaded with `-p tests.workload.fixtures` (pyproject.toml).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from spendsync_site.demo.redis_server import RedisServer

if TYPE_CHECKING:
    import redis
    from django.conf import LazySettings

    from jobqueue.models import Job
    from tests.conftest import StartWorker, WorkerProcess


class Workload:
    """What the workload's jobs did, and the gates that some of them wait for."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._client = client
        self.url = url

    def effects(self) -> Counter[str]:
        """How often each job had its effect, by its name."""
        from tests.workload.processors import EFFECTS

        return Counter(name.decode() for name in self._client.lrange(EFFECTS, 0, -1))

    def wait_for_effects(self, count: int, timeout: float = 20.0) -> Counter[str]:
        """Return the effects once there are `count`."""
        from tests.workload.processors import EFFECT_BELL, EFFECTS

        while self._client.llen(EFFECTS) < count:
            if self._client.blpop([EFFECT_BELL], timeout) is None:
                pytest.fail(f"{self._client.llen(EFFECTS)} of {count} effects, and no other in {timeout} s")
        return self.effects()

    def wait_for_start(self, name: str, timeout: float = 20.0) -> None:
        """Return once the job `name` has started; the next call waits for its next start."""
        from tests.workload.processors import start_bell

        if self._client.blpop([start_bell(name)], timeout) is None:
            pytest.fail(f"the job {name} did not start within {timeout} s")

    def start_times(self, name: str) -> list[float]:
        """When the job `name` started, in seconds since the epoch."""
        from tests.workload.processors import started_key

        return [float(value) for value in self._client.lrange(started_key(name), 0, -1)]

    def struck(self) -> str:
        """The fail point that ended a process, empty if none did."""
        from tests.workload.fail_points import STRUCK

        return (self._client.get(STRUCK) or b"").decode()

    def open_gate(self, name: str) -> None:
        """Let one run of the job `name` go on."""
        from tests.workload.processors import gate_key

        self._client.rpush(gate_key(name), "open")

    def wait_for_hang(self, timeout: float = 20.0) -> int:
        """Return once a worker hangs at its WORKLOAD_HANG_AT; the id of the process that does."""
        from tests.workload.hang_points import BELL

        reached = self._client.blpop([BELL], timeout)
        if reached is None:
            pytest.fail(f"no worker came to its WORKLOAD_HANG_AT within {timeout} s")
        return int(reached[1])

    def end_hang(self) -> None:
        """Let all that hang at a WORKLOAD_HANG_AT go on."""
        from tests.workload.hang_points import GATE

        self._client.rpush(GATE, "open")

    def wait_for_hang_passed(self, timeout: float = 20.0) -> None:
        """Return once somebody went on from a WORKLOAD_HANG_AT and has left that function."""
        from tests.workload.hang_points import PASSED_BELL

        if self._client.blpop([PASSED_BELL], timeout) is None:
            pytest.fail(f"nobody went on from its WORKLOAD_HANG_AT within {timeout} s")


@pytest.fixture
def workload(_empty_redis: None, transactional_db: None, settings: LazySettings) -> Workload:
    """The effects of this test's jobs."""
    from tests.workload.processors import client

    return Workload(client(), settings.WORKLOAD_REDIS_URL)


@pytest.fixture
def rqworker(worker_process: StartWorker, settings: LazySettings) -> Iterator[StartWorker]:
    """`worker_process` with the workload's processors. `jobqueue={"TIMEOUT_GRACE": 1}` sets JOBQUEUE.

    A test that fails shows what its workers printed.
    """
    workers: list[WorkerProcess] = []

    def start(*arguments: str, jobqueue: dict[str, Any] | None = None, **options: Any) -> WorkerProcess:
        wait = options.pop("wait", True)
        environment = {
            "WORKLOAD_REDIS_URL": settings.WORKLOAD_REDIS_URL,
            "TEST_JOBQUEUE": json.dumps(jobqueue or {}),
            # Its tables exist only for tests that ask for the other database.
            "OTHER_DATABASE_URL": "",
        }
        worker = worker_process(*arguments, wait=False, **environment | options)
        workers.append(worker)
        if wait:
            worker.wait_until_ready()
        return worker

    yield start
    for number, worker in enumerate(workers, start=1):
        print(f"--- worker {number} printed:\n{worker.output}")


@pytest.fixture
def queue_redis(private_redis: Callable[..., RedisServer], settings: LazySettings) -> RedisServer:
    """A Redis for the queues alone, which this process uses too. Start workers with `redis=queue_redis`."""
    return _for_queues(private_redis(), settings)


@pytest.fixture
def persistent_queue_redis(private_redis: Callable[..., RedisServer], settings: LazySettings) -> RedisServer:
    """A `queue_redis` that has its data on disk, and again after a restart."""
    return _for_queues(private_redis(persistent=True), settings)


def _for_queues(server: RedisServer, settings: LazySettings) -> RedisServer:
    settings.RQ_QUEUES = {
        name: config | {"HOST": server.host, "PORT": server.port}
        for name, config in settings.RQ_QUEUES.items()
    }
    return server


def wait_until_done(timeout: float = 25.0) -> None:
    """Return once no job waits or runs; fail with what is left, where it is and what the workers do."""
    from jobqueue.models import Job
    from tests.conftest import wait_until
    from tests.workload.evidence import ask_for_stacks, keys_with_sizes

    def nothing_is_left() -> bool:
        return not Job.objects.unfinished().exists()

    try:
        wait_until(nothing_is_left, timeout)
    except pytest.fail.Exception:
        left = Job.objects.unfinished()
        last = left.values("id", "processor", "state", "attempt", "reason", "run_at", "published_at").last()
        ask_for_stacks()
        pytest.fail(
            f"not done within {timeout} s: {left.count()} jobs, the last of them {last}; {keys_with_sizes()}"
        )


def note_jobs(count: int, *, prefix: str = "job") -> list[str]:
    """Enqueue `count` jobs that have their effect at once, in turn on the three queues; their names."""
    from jobqueue.jobs import enqueue_many
    from tests.workload.processors import NOTE, QUEUES

    names = [f"{prefix}-{number}" for number in range(count)]
    enqueue_many(
        (NOTE[QUEUES[number % len(QUEUES)]].name, {"name": name}) for number, name in enumerate(names)
    )
    return names


def note(name: str, queue: str = "email", **options: Any) -> Job:
    """Enqueue one job that has its effect at once."""
    from jobqueue.jobs import enqueue
    from tests.workload.processors import NOTE

    return enqueue(NOTE[queue].name, name=name, **options)
