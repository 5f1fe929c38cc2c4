"""RQ's picture of what has started: kept true, and asked what Redis still knows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter

from django.conf import settings as django_settings
from redis import Redis

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import id_of, raw, text_of
from jobqueue.broker.connections import answers_of, by_server, client_for, on_each
from jobqueue.broker.message import MESSAGE_ID, Message
from jobqueue.broker.scripts import Script
from jobqueue.broker.strange_keys import mending
from jobqueue.conf import get_settings

_UNKNOWN = Script("unknown", "patience", workers=(), messages=("queue", "id"))
_STARTED = Script("started", "patience", "interval", queues=())


def unknown(messages: Sequence[Message], living_workers: Sequence[str]) -> list[Message]:
    """Those messages that Redis knows neither as queued nor as started by a living worker just now.

    They are asked for by rows that still wait: a worker that took such a message LOST_AFTER ago or earlier
    does not know of it, because the answer to its claim was lost. What a server holds that is away is not
    among them.
    """
    patience = get_settings().lost_after

    def ask(server: tuple[Redis, list[Message]]) -> list[Message]:
        client, group = server
        places = [(message.queue, message.id) for message in group]
        answer = scripts.run(client, _UNKNOWN, patience=patience, workers=living_workers, messages=places)
        ids = {text_of(message) for message in answer}
        return [message for message in group if message.id in ids]

    return answers_of(by_server(messages, attrgetter("queue")), ask)


def taken_by(worker_id: str) -> list[Message]:
    """What this worker took from Redis and did not end; of a server that is away nothing."""

    def ask(queue: str) -> list[Message]:
        ids = [id_of(entry).rpartition(":")[0] for entry in _entries_of(queue, worker_id)]
        return [Message.parse(queue, each) for each in ids if MESSAGE_ID.fullmatch(each)]

    return answers_of(django_settings.RQ_QUEUES, ask)


def forget_worker(worker_id: str) -> int:
    """Remove what a lost worker left in RQ's started registries. Returns how many entries went."""

    def forget(queue: str) -> int:
        entries = _entries_of(queue, worker_id)
        return int(client_for(queue).zrem(keys.started(queue), *entries)) if entries else 0

    return on_each(django_settings.RQ_QUEUES, forget)


def _entries_of(queue: str, worker_id: str) -> list[bytes]:
    client, key = client_for(queue), keys.started(queue)

    def scan() -> list[bytes]:
        return [entry for entry, _ in client.zscan_iter(key, match=f"*:{worker_id}", count=1000)]

    return mending(client, {key: "zset"}, scan)


def started(patience: float, interval: float) -> list[tuple[str, str]]:
    """The `(queue, entry)` pairs of RQ's started registries that were claimed `patience` seconds ago.

    Only one caller in `interval` seconds gets those of a queue.
    """

    def ask(server: tuple[Redis, list[str]]) -> list[tuple[str, str]]:
        client, queues = server
        answer = scripts.run(client, _STARTED, patience=patience, interval=interval, queues=queues)
        return [(text_of(queue), id_of(entry)) for queue, entry in answer]

    return answers_of(by_server(django_settings.RQ_QUEUES, str), ask)


def forget_started(entries: Sequence[tuple[str, str]]) -> int:
    """Remove these `(queue, entry)` pairs from RQ's started registries. Returns how many there were."""

    def forget(server: tuple[Redis, list[tuple[str, str]]]) -> int:
        client, group = server
        return sum(int(client.zrem(keys.started(queue), raw(entry))) for queue, entry in group)

    return on_each(by_server(entries, itemgetter(0)), forget)
