"""Steps that the tests of plain RQ's jobs share."""

from __future__ import annotations

from typing import Any

import django_rq
import redis
import rq
from rq.serializers import JSONSerializer

from jobqueue.broker import queues
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.plain_rq import adoption
from tests.jobqueue.steps import IDENTITY, QUEUES
from tests.workload.functions import note

NOTED = "rq:jobqueue:foreign:email"


def put(function: Any = note, *args: Any, queue: str = "email", **options: Any) -> rq.job.Job:
    """Put a function on a queue as other people's code does."""
    return django_rq.get_queue(queue).enqueue(function, *args, **options)


def put_raw(client: redis.Redis, data: bytes | str, **fields: str) -> str:
    """A message as somebody with access to Redis writes it."""
    fields = {"status": "queued", "origin": "email", "enqueued_at": "2026-01-01T00:00:00.000000Z", **fields}
    client.hset("rq:job:raw", mapping={"data": data, **fields})
    client.rpush("rq:queue:email", "raw")
    return "raw"


def quarantined() -> list[tuple[str, str]]:
    """Take what is on the queues, as a worker does; the foreign messages."""
    return queues.claim(QUEUES, 100, IDENTITY.id.hex, "worker").quarantined


def adopt() -> Job:
    """Have the one foreign message on the queues adopted; its job."""
    assert adoption.look_after(quarantined()) == 1
    return Job.objects.get()


def make_due(client: redis.Redis, queue: str = "email") -> None:
    """The time has come to look after the foreign messages again."""
    key = f"rq:jobqueue:foreign:{queue}"
    for message in client.zrange(key, 0, -1):
        client.zadd(key, {message: 0})


def explanation(client: redis.Redis, message_id: str) -> str:
    """What the hash of a quarantined message says."""
    return (client.hget(f"rq:job:{message_id}", "exc_info") or b"").decode()


def ids(registry: type[rq.registry.BaseRegistry], queue: str = "email") -> list[str]:
    """The ids in one of RQ's registries."""
    found: list[str] = registry(
        queue, connection=django_rq.get_connection(queue), serializer=JSONSerializer
    ).get_job_ids()
    return found


def is_unavailable(*_: object) -> bool:
    raise BrokerUnavailable("Redis is away")
