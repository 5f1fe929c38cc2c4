"""Keys of a type that the job queue never gives them: looked for, set aside, told of.

The scripts meet those that they use, and set them aside themselves. What they do not use, or Python uses by
itself, is looked over here: by the workers every few seconds, and wherever a command has failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from django.conf import settings as django_settings
from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import as_unavailable, by_server, on_each
from jobqueue.broker.scripts import Script
from jobqueue.exceptions import BrokerUnavailable

logger = logging.getLogger(__name__)

# A counter has some dozens of fields for each queue and type.
MOST_COUNTERS = 50_000
_MOST_NEWS = 100
_LOOK_OVER = Script("look_over", "most", expected=("name", "kind"))

T = TypeVar("T")


def check(purpose: str = "probe") -> None:
    """Return if the keys of every queue have the types that the job queue gave them.

    BrokerUnavailable names those that do not; nothing is changed.
    """
    with as_unavailable():
        strange = [name for client, types in _types(purpose) for name in _strange(client, types)]
    if strange:
        raise BrokerUnavailable(f"the job queue did not write what stands under {', '.join(strange)}")


def look_over() -> int:
    """Set aside what is strange on every server, and log what was set aside since the last time.

    Returns how much was strange.
    """

    def look(server: tuple[Redis, dict[str, str]]) -> int:
        client, types = server
        found = set_aside(client, types)
        _log_news(client)
        return found

    return on_each(_types("work"), look)


def set_aside(client: Redis, types: Mapping[str, str]) -> int:
    """Set aside those of these keys that have another type than they should. Returns how many."""
    return int(scripts.run(client, _LOOK_OVER, most=MOST_COUNTERS, expected=list(types.items())))


def mending(client: Redis, types: Mapping[str, str], command: Callable[[], T]) -> T:
    """What a command on these keys answers; if it fails because one is strange, it is set aside first."""
    try:
        return command()
    except ResponseError:
        if not set_aside(client, types):
            raise
        return command()


def _types(purpose: str) -> Iterator[tuple[Redis, dict[str, str]]]:
    """The keys of each server with their types."""
    for client, queues in by_server(django_settings.RQ_QUEUES, str, purpose):
        types = keys.types_of_all()
        for queue in queues:
            types |= keys.types_of_queue(queue)
        yield client, types


def _strange(client: Redis, types: Mapping[str, str]) -> list[str]:
    with client.pipeline(transaction=False) as pipeline:
        for name in types:
            pipeline.type(name)
        answers = [text_of(answer) for answer in pipeline.execute()]
    expected = zip(types.items(), answers, strict=True)
    return [name for (name, kind), is_type in expected if is_type not in (kind, "none")]


def _log_news(client: Redis) -> None:
    names: Any = client.lpop(keys.PATTERNS["aside_news"], _MOST_NEWS)
    for name in names or []:
        logger.error(
            "the key %s in Redis was set aside: the job queue did not write it. The queues go on without it; "
            "what it held is kept, and the admin lists it",
            text_of(name),
        )
