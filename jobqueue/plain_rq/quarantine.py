"""Messages that are not ours, in Redis: what stands in them, why they were not run, when to look again."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from redis import Redis
from redis.exceptions import ResponseError
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL, RQ_KEY_PREFIX

from jobqueue.broker.connections import as_unavailable, client_for
from jobqueue.broker.message import foreign_id, in_pairs, text_of
from jobqueue.broker.scripts import rq_now, run

logger = logging.getLogger(__name__)


class ForeignMessage(NamedTuple):
    """What plain RQ put on a queue, as it stands in Redis: not decoded, not believed."""

    queue: str
    id: str
    enqueued_at: str
    """When RQ enqueued it: a job that is enqueued anew has the same id and another time."""
    data: bytes
    timeout: str
    extras: tuple[str, ...]
    """What RQ's worker would have to do besides calling the function."""


# What RQ's own worker would do besides calling the function, by the field of the job's hash.
_EXTRAS = {
    "success_callback_name": "a callback",
    "failure_callback_name": "a callback",
    "stopped_callback_name": "a callback",
    "webhooks": "webhooks",
    "repeats_left": "repetitions",
    "rate_limit_key": "a rate limit of RQ's",
}
_LONGEST_FIELD = 50


def read(queue: str, message_id: str, longest: int) -> ForeignMessage | None:
    """What RQ wrote of this job; None if there is no job, or its data has more than `longest` bytes."""
    client, key = client_for(queue), _job_key(message_id)
    with as_unavailable():
        if text_of(client.type(key)) != "hash":
            return None
        with client.pipeline(transaction=False) as pipeline:
            for field in ("data", "enqueued_at", "timeout", *_EXTRAS):
                pipeline.hstrlen(key, field)
            pipeline.exists(key + b":dependents")
            data, enqueued_at, timeout, *extras, dependents = pipeline.execute()
        if data > longest or max(enqueued_at, timeout) > _LONGEST_FIELD:
            return None
        values = client.hmget(key, ["data", "enqueued_at", "timeout"])
    asked = {name for name, size in zip(_EXTRAS.values(), extras, strict=True) if size}
    if dependents:
        asked.add("jobs that depend on it")
    raw, moment, limit = (value.encode() if isinstance(value, str) else value or b"" for value in values)
    return ForeignMessage(queue, message_id, text_of(moment), raw, text_of(limit), tuple(sorted(asked)))


def explain(queue: str, message_id: str, why: str) -> None:
    """Leave a foreign message in RQ's failed registry for good, and say there why it was not run."""
    text = (
        f"Quarantined: the message {message_id[:100]!r} on queue {queue!r} was not published by jobqueue "
        "and was not run. Enqueue jobs with jobqueue.jobs.enqueue(). Of plain RQ's jobs only those run whose "
        f'function JOBQUEUE["ALLOWED_FUNCTIONS"] names. This one does not, because {why}.'
    )
    client = client_for(queue)
    with as_unavailable():
        try:
            fields: dict[Any, Any] = {"status": "failed", "origin": queue, "exc_info": text}
            client.hset(_job_key(message_id), mapping=fields)
        except ResponseError as error:
            # A key of another type under that name must not stop the worker.
            logger.warning("could not mark the quarantined message: %s", type(error).__name__)
        client.zrem(f"{RQ_KEY_PREFIX}:jobqueue:foreign:{queue}", _raw_id(message_id))
    logger.error(text)


def report_adopted(queue: str, message_id: str, enqueued_at: str, status: str, text: str = "") -> bool:
    """Say in RQ's words how an adopted job stands: "started", "finished", "failed" or "canceled".

    False if there is nothing to say it about: RQ forgot the job, or enqueued it anew since, or it ended
    already and would be said to have started.
    """
    with as_unavailable():
        return bool(
            run(
                client_for(queue),
                "report_adopted",
                queue,
                _raw_id(message_id),
                enqueued_at,
                status,
                rq_now(),
                DEFAULT_RESULT_TTL,
                DEFAULT_FAILURE_TTL,
                text,
            )
        )


def to_look_after(most: int) -> list[tuple[str, str]]:
    """Foreign messages, `(queue, message id)`, whose time to be looked after has come.

    They come again after a while, unless they ended or stay in quarantine.
    """
    found: list[tuple[str, str]] = []
    by_client: dict[int, tuple[Redis, list[str]]] = {}
    for queue in django_settings.RQ_QUEUES:
        client = client_for(queue)
        by_client.setdefault(id(client), (client, []))[1].append(queue)
    with as_unavailable():
        for client, names in by_client.values():
            answer = run(client, "foreign_due", most, *names)
            found += [(text_of(queue), foreign_id(message)) for queue, message in in_pairs(answer)]
    return found


def _job_key(message_id: str) -> bytes:
    return f"{RQ_KEY_PREFIX}:job:".encode() + _raw_id(message_id)


def _raw_id(message_id: str) -> bytes:
    return message_id.encode("utf-8", "surrogateescape")
