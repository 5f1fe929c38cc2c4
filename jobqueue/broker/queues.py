"""The queues in Redis: publish messages, claim them, put them back, finish them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX

from jobqueue.broker.connections import FEW, as_unavailable, circuit, client_for, clients
from jobqueue.broker.message import MESSAGE_FUNCTION, Message, foreign_id, in_pairs, text_of
from jobqueue.broker.scripts import rq_now, run
from jobqueue.exceptions import BrokerUnavailable

KEEP_FINISHED = 60
_BATCH = 1000
# Milliseconds for which a start counts against a rate limit, as claim.lua knows it.
_RATE_WINDOW = 1100
MOST_RATE = 10_000
"""The highest rate limit: Redis keeps the time of so many starts."""


class QueueLimits(NamedTuple):
    """What holds messages of one queue back, in all workers together; None is no limit."""

    rate: int | None = None
    """Starts within any second."""
    concurrency: int | None = None
    """Jobs that run at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one claim took from Redis. `pause`: seconds until a rate limit lets the next message go."""

    messages: list[Message]
    quarantined: list[tuple[str, str]]
    """`(queue, message id)` of foreign ones, which are to be looked after."""
    pause: float | None = None


_UNLIMITED: Mapping[str, QueueLimits] = {}
_NO_LIMITS = QueueLimits()


def publish(messages: Sequence[Message], *, hurry: bool = False, only_new: bool = False) -> int:
    """Push messages to their queues; what is queued already is left alone. Returns how many were new.

    With `only_new` also what a worker took already is left alone, as long as Redis knows of it.

    With `hurry` (a user waits) Redis gets `PUBLISH_TIMEOUT` to connect and to answer, and none at
    all shortly after it failed. Raises BrokerUnavailable; what was pushed by then stays, harmlessly.
    """
    if hurry and circuit.is_open:
        raise BrokerUnavailable("Redis did not answer a moment ago")
    now = rq_now()
    purpose = "work" if not hurry else "publish" if len(messages) <= FEW else "publish many"
    by_client: dict[int, tuple[Redis, list[Any]]] = {}
    for message in messages:
        client = client_for(message.queue, purpose)
        arguments = by_client.setdefault(id(client), (client, []))[1]
        data = f'["{MESSAGE_FUNCTION}", null, [{message.job_id}, {message.attempt}], {{}}]'
        arguments += [message.queue, message.id, data, message.description, max(1, int(message.timeout))]
    pushed = 0
    which = "new" if only_new else "any"
    try:
        with as_unavailable():
            for client, arguments in by_client.values():
                for start in range(0, len(arguments), 5 * _BATCH):
                    pushed += run(client, "publish", now, which, *arguments[start : start + 5 * _BATCH])
    except BrokerUnavailable:
        if hurry:
            circuit.open()
        raise
    return pushed


def claim(
    queues: Sequence[str],
    count: int,
    worker_id: str,
    worker_name: str,
    limits: Mapping[str, QueueLimits] = _UNLIMITED,
    free: int | None = None,
) -> Taken:
    """Take up to `count` messages, queues in order of priority. Foreign messages are quarantined at once,
    and noted in Redis until somebody has looked after them.

    `free` of them can start at once. Beyond these at most half of what waits is taken, for another worker may
    be idle; and none of a queue with a limit, so that what counts as started does start.
    """
    if not queues or count < 1:
        return Taken([], [])
    client = client_for(queues[0])
    described: list[Any] = []
    for queue in queues:
        limit = limits.get(queue, _NO_LIMITS)
        described += [queue, *(-1 if value is None else value for value in limit)]
    at_once = count if free is None else free
    with as_unavailable():
        ours, foreign, pause = run(
            client, "claim", count, at_once, worker_id, worker_name, rq_now(), *described
        )
    messages = [Message.parse(text_of(queue), text_of(message)) for queue, message in in_pairs(ours)]
    quarantined = [(text_of(queue), foreign_id(message)) for queue, message in in_pairs(foreign)]
    return Taken(messages, quarantined, None if pause < 0 else pause / 1000)


def count_late_starts(starts: Mapping[str, tuple[int, int]]) -> None:
    """Let rate limits count jobs from now that were claimed a while ago: (number, rate limit) by queue."""
    with as_unavailable():
        for queue, (number, rate) in starts.items():
            run(client_for(queue), "late_starts", queue, number, rate)


def is_rate_used_up(queue: str, rate: int, purpose: str = "probe") -> bool:
    """Whether a rate limit lets no job of this queue start at this moment."""
    with as_unavailable():
        client = client_for(queue, purpose)
        oldest = client.lindex(f"{RQ_KEY_PREFIX}:jobqueue:starts:{queue}", rate - 1) if rate else None
        seconds, microseconds = client.time()
    if oldest is None:
        return rate == 0
    return int(oldest) + _RATE_WINDOW > seconds * 1000 + microseconds // 1000


def put_back(messages: Sequence[Message], worker_id: str) -> None:
    """Put messages that were claimed in vain back at the front of their queues."""
    by_queue: dict[str, list[str]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message.id)
    with as_unavailable():
        for queue, ids in by_queue.items():
            run(client_for(queue), "put_back", queue, worker_id, *ids)


def finish(
    settled: Iterable[tuple[Message, bool]],
    worker_id: str,
    counters: Mapping[str, float] | None = None,
    batch_id: str | None = None,
) -> None:
    """Forget settled messages (True: keep it as finished for RQ's tools) and add to the counters.

    Safe to repeat with the same `batch_id`: a batch counts once.
    """
    by_client: dict[int, tuple[Redis, dict[str, tuple[list[str], list[str]]]]] = {}
    for message, finished in settled:
        client = client_for(message.queue)
        by_queue = by_client.setdefault(id(client), (client, {}))[1]
        by_queue.setdefault(message.queue, ([], []))[0 if finished else 1].append(message.id)
    if not by_client and counters:
        client = clients("work")[0]
        by_client[id(client)] = (client, {})
    left = [item for pair in (counters or {}).items() for item in pair]
    batch = batch_id or uuid.uuid4().hex
    with as_unavailable():
        for number, (client, by_queue) in enumerate(by_client.values()):
            arguments: list[Any] = []
            for queue, (done, others) in by_queue.items():
                arguments += [queue, len(done), len(others), *done, *others]
            run(
                client,
                "finish",
                f"{batch}-{number}",
                int(time.time()),
                KEEP_FINISHED,
                worker_id,
                len(by_queue),
                *arguments,
                *left,
            )
            left = []
