"""A Redis that is started again reads its data first: it takes connections, and refuses all that is asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings
from django.test import Client
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobqueue.models import Job
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import ONE_JOB
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database
COMMANDS = 40_000
A_SLEEP_TAKES = 60
"""Microseconds more than it is asked for."""
SOON = {"LOST_AFTER": 2}
WITHIN = 10.0
"""Seconds after which all works again."""
IS_NAMED = "loading the dataset"


class Loading:
    """A server whose data take a while to read."""

    def __init__(self, folder: Path) -> None:
        self.server = RedisServer(folder, persistent=True)
        self.server.start()
        self.client = redis.Redis(port=self.server.port, db=3, retry=Retry(NoBackoff(), 0))
        self.client.eval("for n = 1, ARGV[1] do redis.call('SET', 'key', n) end", 0, COMMANDS)

    def stop(self) -> None:
        """End it with its data on disk."""
        self.server.stop()

    def start(self, *, loads_for: float) -> None:
        """Start it, and return as soon as it reads its data; that takes so many seconds."""
        # Between a thousand commands that it reads it answers its clients.
        delay = loads_for / COMMANDS * 1_000_000 - A_SLEEP_TAKES
        self.server.options = ("--key-load-delay", str(int(delay)))
        self.server.start(until="Server initialized")
        wait_until(self.is_loading)

    def is_loading(self) -> bool:
        """Whether it still reads."""
        try:
            self.client.ping()
        except redis.BusyLoadingError:
            return True
        except redis.ConnectionError:
            return False
        return False

    def close(self) -> None:
        self.client.close()
        self.server.stop()


@pytest.fixture
def loading(tmp_path: Path, settings: LazySettings) -> Iterator[Loading]:
    """The Redis of the queues, of this process too."""
    found = Loading(tmp_path / "redis")
    settings.RQ_QUEUES = {
        name: config | {"PORT": found.server.port} for name, config in settings.RQ_QUEUES.items()
    }
    yield found
    found.close()


def test_a_redis_that_loads_is_waited_for_and_loses_and_doubles_nothing(
    rqworker: StartWorker, workload: Workload, loading: Loading
) -> None:
    worker = rqworker("--processes", "1", redis=loading.server, jobqueue=SOON)
    delayed = note("delayed", delay=1)
    names = note_jobs(20, prefix="before")
    workload.wait_for_effects(20)
    processes = worker.children()

    loading.stop()
    loading.start(loads_for=6)
    names += note_jobs(20, prefix="meanwhile")
    worker.wait_for_line(f"cannot claim jobs for now.*{IS_NAMED}")  # which only a server that reads says
    wait_until(lambda: not loading.is_loading())

    names += note_jobs(20, prefix="after")
    workload.wait_for_effects(len(names) + 1, timeout=WITHIN)
    wait_until_done()
    assert workload.effects() == Counter([*names, "delayed"])
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
    assert delayed.attempt == 1
    assert worker.children() == processes
    assert "Traceback" not in worker.output


def test_a_worker_that_is_started_meanwhile_waits_says_so_and_begins(
    rqworker: StartWorker, workload: Workload, loading: Loading
) -> None:
    note("early")
    loading.stop()
    worker = rqworker(*ONE_JOB, wait=False, redis=loading.server, jobqueue=SOON)
    worker.wait_for_line("waiting for Redis: .*refused")
    loading.start(loads_for=6)
    worker.wait_for_line(f"waiting for Redis: .*{IS_NAMED}")

    worker.wait_until_ready()
    assert workload.wait_for_effects(1, timeout=WITHIN) == {"early": 1}
    assert worker.output.count(IS_NAMED) == 1
    assert "Traceback" not in worker.output


def _seconds_of_ten(prefix: str) -> list[float]:
    """How long each of ten saves took."""
    took = []
    for number in range(10):
        begin = time.monotonic()
        note(f"{prefix}-{number}")
        took.append(time.monotonic() - begin)
    return took


def test_meanwhile_saves_succeed_at_once_and_the_queues_are_down(
    workload: Workload, loading: Loading, client: Client
) -> None:
    usual = _seconds_of_ten("before")
    loading.stop()
    loading.start(loads_for=6)

    took = _seconds_of_ten("during")
    answer = client.get("/health/queues")

    assert loading.is_loading()
    assert Job.objects.waiting().count() == 20
    # One may be the one that found it loading. A busy machine makes each slower, with and without Redis.
    assert sorted(took)[-2] < sorted(usual)[-2] + 0.1
    assert (answer.status_code, answer.json()["status"]) == (503, "DOWN")
