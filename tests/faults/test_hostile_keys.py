"""Somebody writes over the keys of a worker that runs: no queue stops, nothing is lost."""

from __future__ import annotations

import json

import pytest
import redis
from rq import Worker

from jobqueue.broker import keys, set_aside, strange_keys
from jobqueue.exceptions import BrokerUnavailable
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import QUICK
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database


def nothing_is_strange() -> bool:
    """Whether every key is one that the job queue wrote."""
    try:
        strange_keys.check()
    except BrokerUnavailable:
        return False
    return True


def test_every_key_is_written_over_while_jobs_run_and_all_of_them_are_done(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", jobqueue=QUICK | {"LOST_AFTER": 1})
    processes = worker.children()
    names = []
    for number, name in enumerate([*keys.types_of_all(), *keys.types_of_queue("email")]):
        if name == "rq:suspended":
            continue
        with redis_client.pipeline() as pipeline:
            pipeline.delete(name)
            pipeline.xadd(name, {"text": "x"})
            pipeline.execute()
        names += note_jobs(6, prefix=f"job-{number}")
    wait_until_done(60)
    wait_until(nothing_is_strange, 20)

    assert workload.effects() == dict.fromkeys(names, 1)
    assert worker.children() == processes
    assert {known.name for known in set_aside.listed(redis_client)} >= {"rq:queue:email", "rq:wip:email"}
    worker.wait_for_line("the key rq:wip:email in Redis was set aside")
    assert worker.output.count("the key rq:wip:email in Redis was set aside") == 1
    assert worker.stop() == 0


def test_rqs_own_picture_of_a_worker_comes_back_after_it_was_written_over(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", "--name", "steady", jobqueue=QUICK)
    for name in ("rq:workers", "rq:workers:email", "rq:worker:steady"):
        redis_client.delete(name)
        redis_client.set(name, "text")

    def is_in_the_picture() -> bool:
        types = [redis_client.type(name) for name in ("rq:workers", "rq:workers:email")]
        return types == [b"set", b"set"] and [w.name for w in Worker.all(redis_client)] == ["steady"]

    wait_until(is_in_the_picture)
    note("still works")
    workload.wait_for_effects(1)
    assert worker.is_running()


def test_a_command_that_is_nonsense_does_not_end_the_worker(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    worker = rqworker("--processes", "1", "--name", "steady", jobqueue=QUICK)
    nonsense = ("[" * 100_000, b"\xff\xfe", "x" * 1_000_000, '["a"]', '{"command": {}}')
    wait_until(lambda: redis_client.publish("rq:pubsub:steady", nonsense[0]))
    for message in nonsense[1:]:
        redis_client.publish("rq:pubsub:steady", message)

    note("still works")
    workload.wait_for_effects(1)
    redis_client.publish("rq:pubsub:steady", json.dumps({"command": "shutdown"}))
    assert worker.wait() == 0
    assert "Traceback" not in worker.output
