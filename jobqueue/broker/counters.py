"""The counters in Redis of what ended: their fields, and what stands in them.

A field is a JSON list: the metric's name, then its label values. Histogram buckets are stored each
for itself; the collector adds them up.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import defaultdict
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings
from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.strange_keys import MOST_COUNTERS

JOBS = "job_processing_total"
DURATION_BUCKET = "job_processing_duration_seconds_bucket"
DURATION_SUM = "job_processing_duration_seconds_sum"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
INFINITY = "+Inf"


@lru_cache(maxsize=4096)
def field(*parts: str) -> str:
    """The counter field of a metric and its label values."""
    return json.dumps(parts, separators=(",", ":"))


def labels_of(text: str) -> tuple[str, ...] | None:
    """The metric's name and label values of a counter field; None if the field is none of ours."""
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts)
    return tuple(parts) if is_ours else None


def bucket_of(seconds: float) -> str:
    """The upper bound of the histogram bucket that a duration falls into."""
    index = bisect_left(BUCKETS, seconds)
    return str(BUCKETS[index]) if index < len(BUCKETS) else INFINITY


def read(purpose: str = "work") -> dict[str, float]:
    """All counters, summed over the Redis servers in use."""
    total: dict[str, float] = defaultdict(float)
    with as_unavailable():
        for client in clients(purpose):
            for field, value in _fields(client).items():
                total[text_of(field)] += _amount(value)
    return dict(total)


def completed(purpose: str = "work") -> dict[str, int]:
    """Jobs completed by queue since counting began, skipped ones included."""
    by_queue: dict[str, int] = dict.fromkeys(django_settings.RQ_QUEUES, 0)
    # By name: what somebody else wrote there makes it no slower.
    fields = [
        (queue, field(JOBS, queue, status)) for queue in by_queue for status in ("completed", "skipped")
    ]
    with as_unavailable():
        for client in clients(purpose):
            amounts = _amounts(client, [name for _queue, name in fields])
            for (queue, _name), amount in zip(fields, amounts, strict=True):
                by_queue[queue] += int(amount)
    return by_queue


def _fields(client: Redis) -> dict[Any, Any]:
    """All that stands in the counters of one server; nothing where these are not ours, see strange_keys."""
    try:
        return client.hgetall(keys.COUNTERS) if client.hlen(keys.COUNTERS) <= MOST_COUNTERS else {}
    except ResponseError:
        return {}


def _amounts(client: Redis, names: list[str]) -> list[float]:
    try:
        return [_amount(value) for value in client.hmget(keys.COUNTERS, names)]
    except ResponseError:
        return [0.0] * len(names)


def _amount(value: Any) -> float:
    """0 for what is no number that a counter can have; whoever adds to it next sets it aside."""
    try:
        amount = float(value or 0)
    except ValueError:
        return 0.0
    return amount if 0 <= amount < math.inf else 0.0
