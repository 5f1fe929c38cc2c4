"""Messages that are not ours, in Redis: what stands in them, what becomes of them, when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from redis import Redis
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import id_of, raw, text_of
from jobqueue.broker.connections import answers_of, as_unavailable, by_server, client_for
from jobqueue.broker.scripts import Script
from jobqueue.broker.strange_keys import mending


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


class Report(NamedTuple):
    """What RQ's tools are told of a foreign message that became a job of ours."""

    queue: str
    id: str
    enqueued_at: str
    status: str
    """In RQ's words: "started", "finished", "failed" or "canceled"."""
    text: str = ""
    """About a failure."""


# What only RQ's own scheduler starts, by the status of the job.
_HELD = {
    "scheduled": "a time of its own (enqueue_at, enqueue_in, Retry)",
    "deferred": "another job to end first (depends_on)",
    "rate_limited": "a rate limit of RQ's",
}
_MOST_STRAYS = 100
_MOST_RATE_LIMITS = 100
# What RQ's own worker would do besides calling the function, by the field of the job's hash.
_EXTRAS = {
    "success_callback_name": "a callback",
    "failure_callback_name": "a callback",
    "stopped_callback_name": "a callback",
    "webhooks": "webhooks",
    "number_of_retries": "a Retry of RQ's",
    "retries_left": "a Retry of RQ's",
    "dependency_id": "another job to end first (depends_on)",
    "dependency_ids": "another job to end first (depends_on)",
    "repeats_left": "repetitions",
    "rate_limit_key": "a rate limit of RQ's",
}
_LONGEST_FIELD = 50
_REPORT = Script("report_foreign", *Report._fields, "now", "keep_finished", "keep_failed")
_REFUSE = Script("note_refused", "queue", "id", "reason", "text")
_LEAVE = Script("note_left", "queue", "id", "reason")
_STRAYS = Script("strays", "most", queues=(), registries=("queue", "registry"))
_DUE = Script("foreign_due", "most", queues=())


def read(queue: str, message_id: str, longest: int) -> ForeignMessage | None:
    """What RQ wrote of this job; None if there is no job, or its data has more than `longest` bytes."""
    client, key = client_for(queue), keys.job(raw(message_id))
    with as_unavailable():
        if text_of(client.type(key)) != "hash":
            return None
        with client.pipeline(transaction=False) as pipeline:
            for field in ("data", "enqueued_at", "timeout", "status", *_EXTRAS):
                pipeline.hstrlen(key, field)
            pipeline.exists(keys.dependents(raw(message_id)))
            data, *sizes = pipeline.execute()
        if data > longest or max(sizes[:3]) > _LONGEST_FIELD:
            return None
        values = client.hmget(key, ["data", "enqueued_at", "timeout", "status"])
    *extras, dependents = sizes[3:]
    asked = {name for name, size in zip(_EXTRAS.values(), extras, strict=True) if size}
    if dependents:
        asked.add("jobs that depend on it")
    call = values[0].encode() if isinstance(values[0], str) else values[0] or b""
    moment, limit, status = (text_of(value or "") for value in values[1:])
    if status in _HELD:
        asked.add(_HELD[status])
    return ForeignMessage(queue, message_id, moment, call, limit, tuple(sorted(asked)))


def refuse(queue: str, message_id: str, why: str, text: str) -> None:
    """Leave a foreign message in RQ's failed registry for good, and say there why it was not run.

    `why` is for the list of what is set aside, `text` for RQ's tools.
    """
    with as_unavailable():
        scripts.run(client_for(queue), _REFUSE, queue=queue, id=raw(message_id), reason=why, text=text)


def leave(queue: str, message_id: str, why: str) -> None:
    """List a foreign message as set aside, without a decision: it is looked after again in a while."""
    with as_unavailable():
        scripts.run(client_for(queue), _LEAVE, queue=queue, id=raw(message_id), reason=why)


def report(report: Report) -> bool:
    """Say in RQ's words how a foreign message stands that became a job.

    False if there is nothing to say it about: RQ forgot the job, or enqueued it anew since, or it ended
    already and would be said to have started.
    """
    with as_unavailable():
        return bool(
            scripts.run(
                client_for(report.queue),
                _REPORT,
                **report._asdict() | {"id": raw(report.id)},
                now=scripts.rq_now(),
                keep_finished=DEFAULT_RESULT_TTL,
                keep_failed=DEFAULT_FAILURE_TTL,
            )
        )


def strays(served: Sequence[str]) -> list[tuple[str, str]]:
    """Quarantine what RQ keeps of these queues for its scheduler, or until other jobs have ended.

    Returns their `(queue, message id)`, which are to be looked after.
    """
    found = answers_of(by_server(served, str), _strays_on)
    return [(text_of(queue), id_of(message)) for queue, message in found]


def _strays_on(server: tuple[Redis, list[str]]) -> list[tuple[Any, Any]]:
    client, queues = server
    waiting = [(queue, name) for queue in queues for name in keys.of_rqs_scheduler(queue)]
    limits = keys.OTHERS["rate_limits"]
    names: Any = mending(client, {limits: "set"}, partial(client.srandmember, limits, _MOST_RATE_LIMITS))
    held_back = [("", keys.rate_limited(raw(id_of(name)))) for name in names]
    registries = [*waiting, *held_back]
    return list(scripts.run(client, _STRAYS, most=_MOST_STRAYS, queues=queues, registries=registries))


def to_look_after(most: int) -> list[tuple[str, str]]:
    """Foreign messages, `(queue, message id)`, whose time to be looked after has come.

    They come again after a while, unless they ended or stay in quarantine.
    """

    def ask(server: tuple[Redis, list[str]]) -> list[tuple[str, str]]:
        client, queues = server
        answer = scripts.run(client, _DUE, most=most, queues=queues)
        return [(text_of(queue), id_of(message)) for queue, message in answer]

    return answers_of(by_server(django_settings.RQ_QUEUES, str), ask)
