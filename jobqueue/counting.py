"""What settled outcomes add to the counters in Redis: field names and amounts.

A field is a JSON list: the metric's name, then its label values. Histogram buckets are stored each
for itself; the collector adds them up.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from jobqueue.models import Job
from jobqueue.registry import Processor

JOBS = "job_processing_total"
DURATION_BUCKET = "job_processing_duration_seconds_bucket"
DURATION_SUM = "job_processing_duration_seconds_sum"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
INFINITY = "+Inf"


class Countable(Protocol):
    """The part of an outcome that is counted."""

    @property
    def job(self) -> Job: ...
    @property
    def status(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def processor(self) -> Processor | None: ...


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


def count_outcomes(outcomes: Iterable[Countable]) -> dict[str, float]:
    """The amounts by which these outcomes raise each counter."""
    amounts: dict[str, float] = defaultdict(float)
    for outcome in outcomes:
        job, status, seconds = outcome.job, str(outcome.status), outcome.seconds
        queue = job.queue
        amounts[field(JOBS, queue, status)] += 1
        amounts[field(DURATION_BUCKET, queue, status, bucket_of(seconds))] += 1
        amounts[field(DURATION_SUM, queue, status)] += seconds
        processor = outcome.processor
        if processor and processor.counter:
            counter = processor.counter
            amounts[field(counter.name, counter.type_of(job.payload), status)] += 1
    return dict(amounts)
