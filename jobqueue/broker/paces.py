"""How quickly the queues go at this moment: read from what claims and outcomes note in Redis anyway."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings as django_settings
from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys
from jobqueue.broker.connections import as_unavailable, by_server, clients
from jobqueue.broker.limits import RATE_WINDOW
from jobqueue.broker.queues import KEEP_FINISHED

MINUTE = 60


def completed_within_a_minute() -> dict[str, int]:
    """By queue how many jobs completed in the last minute."""
    found: dict[str, int] = {}
    with as_unavailable():
        for client, queues in by_server(list(django_settings.RQ_QUEUES), str, "probe"):
            since = client.time()[0] - MINUTE + KEEP_FINISHED
            for queue in queues:
                found[queue] = _number(client, keys.finished(queue), since)
    return found


def _number(client: Redis, key: str, since: int) -> int:
    try:
        return int(client.zcount(key, f"({since}", "+inf"))
    except ResponseError:  # what somebody else wrote there is set aside by the next outcome
        return 0


def starts_in_window(rates: Mapping[str, int]) -> dict[str, int]:
    """Of queues with a rate limit, which is given by queue, how many starts count against it now."""
    found: dict[str, int] = {}
    with as_unavailable():
        for client, queues in by_server(list(rates), str, "probe"):
            seconds, microseconds = client.time()
            oldest = seconds * 1000 + microseconds // 1000 - RATE_WINDOW
            for queue in queues:
                found[queue] = sum(
                    start > oldest for start in _starts(client, keys.starts(queue), rates[queue])
                )
    return found


def starts_of_processors(rates: Mapping[str, int]) -> dict[str, int]:
    """The same of processors, whose starts are counted on the first server."""
    if not rates:
        return {}
    with as_unavailable():
        client = clients("probe")[0]
        seconds, microseconds = client.time()
        oldest = seconds * 1000 + microseconds // 1000 - RATE_WINDOW
        return {
            name: sum(start > oldest for start in _starts(client, keys.starts_of(name), rate))
            for name, rate in rates.items()
        }


def _starts(client: Redis, key: str, rate: int) -> list[int]:
    try:
        return [int(start) for start in client.lrange(key, 0, rate - 1)] if rate > 0 else []
    except (ResponseError, ValueError):
        return []
