"""RQ's own registries of what has started: kept true, and asked what Redis still knows."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings as django_settings
from redis import Redis
from rq.defaults import RQ_KEY_PREFIX

from jobqueue.broker.connections import as_unavailable, client_for
from jobqueue.broker.message import Message, in_pairs, text_of
from jobqueue.broker.scripts import run
from jobqueue.conf import get_settings


def unknown(messages: Sequence[Message], living_workers: Sequence[str]) -> list[Message]:
    """Those messages that Redis knows neither as queued nor as started by a living worker just now.

    They are asked for by rows that still wait: a worker that took such a message LOST_AFTER ago or earlier
    does not know of it, because the answer to its claim was lost.
    """
    by_client: dict[int, tuple[Redis, list[Message]]] = {}
    for message in messages:
        client = client_for(message.queue)
        by_client.setdefault(id(client), (client, []))[1].append(message)
    lost: list[Message] = []
    lost_after = get_settings().lost_after
    with as_unavailable():
        for client, group in by_client.values():
            pairs = [text for message in group for text in (message.queue, message.id)]
            answer = {
                text_of(item)
                for item in run(client, "unknown", lost_after, len(living_workers), *living_workers, *pairs)
            }
            lost += [message for message in group if message.id in answer]
    return lost


def forget_worker(worker_id: str) -> int:
    """Remove what a lost worker left in RQ's started registries. Returns how many entries went."""
    removed = 0
    with as_unavailable():
        for queue in django_settings.RQ_QUEUES:
            client, key = client_for(queue), f"{RQ_KEY_PREFIX}:wip:{queue}"
            entries = [entry for entry, _ in client.zscan_iter(key, match=f"*:{worker_id}", count=1000)]
            if entries:
                removed += client.zrem(key, *entries)
    return removed


def started(patience: float, interval: float) -> list[tuple[str, str]]:
    """The `(queue, entry)` pairs of RQ's started registries that were claimed `patience` seconds ago.

    Only one caller in `interval` seconds gets them.
    """
    by_client: dict[int, tuple[Redis, list[str]]] = {}
    for queue in django_settings.RQ_QUEUES:
        client = client_for(queue)
        by_client.setdefault(id(client), (client, []))[1].append(queue)
    with as_unavailable():
        return [
            (text_of(queue), text_of(entry))
            for client, names in by_client.values()
            for queue, entry in in_pairs(run(client, "started", patience, interval, *names))
        ]


def forget_started(entries: Sequence[tuple[str, str]]) -> int:
    """Remove these `(queue, entry)` pairs from RQ's started registries. Returns how many there were."""
    with as_unavailable():
        return sum(
            int(client_for(queue).zrem(f"{RQ_KEY_PREFIX}:wip:{queue}", entry)) for queue, entry in entries
        )
