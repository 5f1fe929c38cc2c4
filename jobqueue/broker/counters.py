"""The counters in Redis of what ended: their fields, and what stands in them.

A field is a JSON list: the metric's name, then its label values. Histogram buckets are stored each
for itself; the collector adds them up.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from functools import lru_cache

from jobqueue.broker import keys
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import as_unavailable, clients

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
    except ValueError:
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
            for field, value in client.hgetall(keys.COUNTERS).items():
                total[text_of(field)] += float(value)
    return dict(total)


def completed(purpose: str = "work") -> dict[str, int]:
    """Jobs completed by queue since counting began, skipped ones included."""
    by_queue: dict[str, int] = defaultdict(int)
    for text, value in read(purpose).items():
        match labels_of(text):
            case (name, queue, "completed" | "skipped") if name == JOBS:
                by_queue[queue] += int(value)
    return by_queue
