"""What others put on our queues is never run: it is quarantined, and the worker goes on."""

from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import django_rq
import pytest
import redis
import rq
from rq.registry import FailedJobRegistry
from rq.serializers import DefaultSerializer

from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note


class TouchesWhenLoaded:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


Inject = Callable[[redis.Redis, Path], str]


def plain_function(client: redis.Redis, marker: Path) -> str:
    return str(django_rq.get_queue("email").enqueue(os.mkdir, str(marker)).id)


def plain_function_pickled(client: redis.Redis, marker: Path) -> str:
    queue = rq.Queue("email", connection=client, serializer=DefaultSerializer)
    return str(queue.enqueue(os.mkdir, str(marker)).id)


def pickle_that_acts_when_loaded(client: redis.Redis, marker: Path) -> str:
    return raw(client, "evil", data=zlib.compress(pickle.dumps(TouchesWhenLoaded(marker))))


def our_id_with_another_function(client: redis.Redis, marker: Path) -> str:
    job = note("ours", "settlement")
    client.delete("rq:queue:settlement")
    return raw(client, f"{job.pk + 1000}-1", data=f'["os.mkdir", null, ["{marker}"], {{}}]')


def our_id_with_a_callback(client: redis.Redis, marker: Path) -> str:
    return raw(client, "777777-1", data='["a.b", null, [], {}]', success_callback_name="os.mkdir")


def hash_that_is_none(client: redis.Redis, marker: Path) -> str:
    client.set("rq:job:broken", "no hash")
    client.sadd("rq:queues", "rq:queue:email")
    client.rpush("rq:queue:email", "broken")
    return "broken"


def message_without_a_hash(client: redis.Redis, marker: Path) -> str:
    client.rpush("rq:queue:email", "../../etc/passwd")
    return "../../etc/passwd"


def no_text(client: redis.Redis, marker: Path) -> str:
    client.rpush("rq:queue:email", b"\xff\xfe\x00\r\n")
    return ""


def raw(client: redis.Redis, message: str, **fields: object) -> str:
    """A message as an attacker with access to Redis writes it."""
    client.hset(f"rq:job:{message}", mapping={"status": "queued", "origin": "email", **fields})  # type: ignore[arg-type]
    client.sadd("rq:queues", "rq:queue:email")
    client.rpush("rq:queue:email", message)
    return message


@pytest.mark.parametrize(
    "inject",
    [
        plain_function,
        plain_function_pickled,
        pickle_that_acts_when_loaded,
        our_id_with_another_function,
        our_id_with_a_callback,
        hash_that_is_none,
        message_without_a_hash,
        no_text,
    ],
)
def test_a_foreign_message_is_not_run_and_the_next_job_is(
    inject: Inject, rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, tmp_path: Path
) -> None:
    worker = rqworker()
    inject(redis_client, tmp_path / "marker")

    note("next")
    workload.wait_for_effects(1, timeout=2)
    wait_until(lambda: not redis_client.exists("rq:queue:email"))

    assert not (tmp_path / "marker").exists()
    assert worker.stop() == 0


@pytest.mark.parametrize("inject", [plain_function, plain_function_pickled])
def test_a_foreign_job_is_in_rqs_failed_registry_and_says_why(
    inject: Inject, rqworker: StartWorker, redis_client: redis.Redis, tmp_path: Path
) -> None:
    rqworker()
    job_id = inject(redis_client, tmp_path / "marker")

    failed = FailedJobRegistry("email", connection=redis_client)
    wait_until(lambda: job_id in failed.get_job_ids())

    job = rq.job.Job.fetch(job_id, connection=redis_client)
    wait_until(lambda: job.get_status(refresh=True) == "failed")
    text = redis_client.hget(f"rq:job:{job_id}", "exc_info")
    assert b"was not published by jobqueue and was not run" in text
    assert b"jobqueue.jobs.enqueue()" in text


def test_a_quarantined_message_is_logged_once(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload, tmp_path: Path
) -> None:
    worker = rqworker()
    job_id = plain_function(redis_client, tmp_path / "marker")
    worker.wait_for_line("Quarantined")
    note("next")
    workload.wait_for_effects(1)

    assert [line.count(job_id) for line in worker.output.splitlines() if "Quarantined" in line] == [1]


def test_a_message_of_an_unknown_job_starts_nothing(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    rqworker()
    raw(redis_client, "424242-1", data="[]")

    note("next")
    workload.wait_for_effects(1)

    assert workload.effects() == {"next": 1}
    wait_until(lambda: redis_client.zcard("rq:wip:email") == 0)


def test_a_message_published_again_and_again_runs_its_job_once(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    job = note("once")
    for _ in range(20):
        redis_client.rpush("rq:queue:email", job.message_id)

    rqworker("--burst", wait=False).wait()

    assert workload.effects() == {"once": 1}
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)


def test_a_message_ahead_of_its_jobs_time_does_not_start_it(
    rqworker: StartWorker, redis_client: redis.Redis, workload: Workload
) -> None:
    job = note("delayed", delay=2)
    redis_client.rpush("rq:queue:email", job.message_id)

    rqworker()
    workload.wait_for_start("delayed")

    assert workload.start_times("delayed")[0] >= job.run_at.timestamp()


def test_a_message_of_a_cancelled_job_starts_nothing(rqworker: StartWorker, workload: Workload) -> None:
    job = note("cancelled")
    Job.objects.get(pk=job.pk).cancel()
    note("next")

    rqworker("--burst", wait=False).wait()

    assert workload.effects() == {"next": 1}
