"""The queues in Redis: publish messages, claim them, put them back, finish them."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from jobqueue.broker import scripts
from jobqueue.broker.answers import id_of, text_of
from jobqueue.broker.chart import Record
from jobqueue.broker.connections import FEW, as_unavailable, by_server, circuit, client_for, clients
from jobqueue.broker.limits import RATE_WINDOW, QueueLimits
from jobqueue.broker.message import Entry, Message
from jobqueue.broker.scripts import Script
from jobqueue.exceptions import BrokerUnavailable

KEEP_FINISHED = 60
_BATCH = 1000
PUBLISH = Script("publish", "now", "only_new", messages=Entry._fields)
CLAIM = Script(
    "claim",
    *("count", "at_once", "worker", "worker_name", "now", "window"),
    queues=("name", *QueueLimits._fields),
)
PARK = Script("park", "worker", messages=("queue", "id"))
NOTE_STARTED = Script("note_started", "worker", "worker_name", "now", messages=Entry._fields)
PUT_BACK = Script("put_back", "queue", "worker", backwards=())
FINISH = Script(
    "finish",
    *("batch", "seconds", "keep", "worker"),
    finished=("queue", "id"),
    others=("queue", "id"),
    counters=("field", "amount"),
    chart=("period", "group", "rest", "cells"),
)


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
    if not hurry:
        return _publish(messages, "work", only_new)
    with circuit.guarding():
        return _publish(messages, "publish" if len(messages) <= FEW else "publish many", only_new)


def _publish(messages: Sequence[Message], purpose: str, only_new: bool) -> int:
    now, pushed = scripts.rq_now(), 0
    first: BrokerUnavailable | None = None
    away: set[str] = set()
    for client, group in by_server(messages, attrgetter("queue"), purpose):
        try:
            with as_unavailable():
                for start in range(0, len(group), _BATCH):
                    entries = [message.entry() for message in group[start : start + _BATCH]]
                    pushed += scripts.run(client, PUBLISH, now=now, only_new=int(only_new), messages=entries)
        except BrokerUnavailable as error:
            first = first or error
            away.update(message.queue for message in group)
            if purpose != "work":
                break  # a user waits, and the relay does not
    if first is not None:
        first.queues = frozenset(away)
        raise first
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
    with as_unavailable():
        ours, foreign, *pause = scripts.run(
            client_for(queues[0]),
            CLAIM,
            count=count,
            at_once=count if free is None else free,
            worker=worker_id,
            worker_name=worker_name,
            now=scripts.rq_now(),
            window=RATE_WINDOW,
            queues=[(queue, *limits.get(queue, _NO_LIMITS).texts()) for queue in queues],
        )
    messages = [Message.parse(text_of(queue), text_of(message)) for queue, ids in ours for message in ids]
    quarantined = [(text_of(queue), id_of(message)) for queue, ids in foreign for message in ids]
    return Taken(messages, quarantined, pause[0] / 1000 if pause else None)


def put_back(messages: Sequence[Message], worker_id: str) -> None:
    """Put messages that were claimed in vain back at the front of their queues."""
    by_queue: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        by_queue[message.queue].append(message.id)
    with as_unavailable():
        for queue, ids in by_queue.items():
            scripts.run(client_for(queue), PUT_BACK, queue=queue, worker=worker_id, backwards=ids[::-1])


def park(messages: Sequence[Message], worker_id: str) -> None:
    """Forget messages that were claimed: their jobs are parked, and start without one."""
    with as_unavailable():
        for client, group in by_server(messages, attrgetter("queue")):
            scripts.run(client, PARK, worker=worker_id, messages=[(each.queue, each.id) for each in group])


def note_started(messages: Sequence[Message], worker_id: str, worker_name: str) -> None:
    """Let RQ's tools see what was claimed without a message, as they see all that runs."""
    told = {"worker": worker_id, "worker_name": worker_name, "now": scripts.rq_now()}
    with as_unavailable():
        for client, group in by_server(messages, attrgetter("queue")):
            scripts.run(client, NOTE_STARTED, messages=[message.entry() for message in group], **told)


def finish(
    settled: Iterable[tuple[Message, bool]],
    worker_id: str,
    counters: Mapping[str, float] | None = None,
    batch_id: str | None = None,
    chart: Sequence[Record] = (),
) -> None:
    """Forget settled messages (True: keep it as finished for RQ's tools), add to the counters and the chart.

    Safe to repeat with the same `batch_id`: a batch counts once.
    """
    groups = list(by_server(settled, lambda pair: pair[0].queue))
    amounts = list((counters or {}).items())
    if not groups and (amounts or chart):
        groups = [(clients("work")[0], [])]
    batch = batch_id or uuid.uuid4().hex
    with as_unavailable():
        for number, (client, group) in enumerate(groups):
            scripts.run(
                client,
                FINISH,
                batch=f"{batch}-{number}",
                seconds=int(time.time()),
                keep=KEEP_FINISHED,
                worker=worker_id,
                finished=[(message.queue, message.id) for message, finished in group if finished],
                others=[(message.queue, message.id) for message, finished in group if not finished],
                counters=amounts if number == 0 else [],
                chart=chart if number == 0 else [],
            )


def add_to_chart(chart: Sequence[Record]) -> None:
    """Add to the chart what ended without a message to forget; as hurried as a save's `publish`.

    Raises BrokerUnavailable; then it may be in the chart or not.
    """
    nothing = dict.fromkeys(("finished", "others", "counters"), ())
    with circuit.guarding(), as_unavailable():
        scripts.run(
            clients("publish")[0],
            FINISH,
            batch=uuid.uuid4().hex,
            seconds=int(time.time()),
            keep=KEEP_FINISHED,
            worker="",
            chart=chart,
            **nothing,
        )
