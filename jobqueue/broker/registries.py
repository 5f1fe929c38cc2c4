"""RQ's picture of what has started: kept true, and asked what Redis still knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter

from django.conf import settings as django_settings
from redis import Redis

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import id_of, raw, text_of
from jobqueue.broker.connections import as_unavailable, by_server, client_for
from jobqueue.broker.message import Message
from jobqueue.broker.scripts import Script
from jobqueue.broker.strange_keys import mending
from jobqueue.conf import get_settings

_UNKNOWN = Script("unknown", "patience", workers=(), messages=("queue", "id"))
_STARTED = Script("started", "patience", "interval", queues=())


def unknown(messages: Sequence[Message], living_workers: Sequence[str]) -> list[Message]:
    """Those messages that Redis knows neither as queued nor as started by a living worker just now.

    They are asked for by rows that still wait: a worker that took such a message LOST_AFTER ago or earlier
    does not know of it, because the answer to its claim was lost.
    """
    lost: list[Message] = []
    patience = get_settings().lost_after
    with as_unavailable():
        for client, group in by_server(messages, attrgetter("queue")):
            places = [(message.queue, message.id) for message in group]
            answer = scripts.run(client, _UNKNOWN, patience=patience, workers=living_workers, messages=places)
            ids = {text_of(message) for message in answer}
            lost += [message for message in group if message.id in ids]
    return lost


def forget_worker(worker_id: str) -> int:
    """Remove what a lost worker left in RQ's started registries. Returns how many entries went."""
    removed = 0
    with as_unavailable():
        for queue in django_settings.RQ_QUEUES:
            client, key = client_for(queue), keys.started(queue)
            removed += mending(client, {key: "zset"}, partial(_forget_entries, client, key, f"*:{worker_id}"))
    return removed


def _forget_entries(client: Redis, key: str, pattern: str) -> int:
    entries = [entry for entry, _ in client.zscan_iter(key, match=pattern, count=1000)]
    return int(client.zrem(key, *entries)) if entries else 0


def started(patience: float, interval: float) -> list[tuple[str, str]]:
    """The `(queue, entry)` pairs of RQ's started registries that were claimed `patience` seconds ago.

    Only one caller in `interval` seconds gets those of a queue.
    """
    with as_unavailable():
        return [
            (text_of(queue), id_of(entry))
            for client, queues in by_server(django_settings.RQ_QUEUES, str)
            for queue, entry in scripts.run(
                client, _STARTED, patience=patience, interval=interval, queues=queues
            )
        ]


def forget_started(entries: Sequence[tuple[str, str]]) -> int:
    """Remove these `(queue, entry)` pairs from RQ's started registries. Returns how many there were."""
    with as_unavailable():
        return sum(int(client_for(queue).zrem(keys.started(queue), raw(entry))) for queue, entry in entries)
