"""Prometheus metrics, true for any number of workers on any number of hosts.

The counters live in Redis, written by the code that settles outcomes; the gauges are read from the
database. One collector shows both at `/metrics`, beside django-prometheus's own.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator

from django.conf import settings as django_settings

from jobqueue.broker import counters
from jobqueue.counts.reading import QueueCounts
from jobqueue.exceptions import MissingExtra
from jobqueue.monitoring import health, set_aside
from jobqueue.monitoring.probes import Probe
from jobqueue.registry import all_processors

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry
except ImportError as error:
    raise MissingExtra("the page of metrics", "prometheus-client", extra="metrics") from error

logger = logging.getLogger(__name__)

_MOST_SERIES = 1_000
"""Of one counter, whatever stands in Redis: a page of metrics is read every few seconds."""


class JobQueueCollector(Collector):
    """Reads everything at the scrape; what cannot be reached is left out, and `jobqueue_up` says so."""

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not read Redis when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        asked, asked_aside = _counters.begin(), set_aside.begin()
        counted = health.count_jobs()
        read = _counters.finish(asked)
        yield from _counter_families(read.answer or {})
        if counted.answer is not None:
            yield _jobs_gauge(counted.answer.queues)
        yield _set_aside_gauge(set_aside.finish(asked_aside, has_databases=counted.is_there).counts)
        up = GaugeMetricFamily("jobqueue_up", "Whether the store could be read", labels=["store"])
        up.add_metric(["redis"], int(read.is_there))
        up.add_metric(["database"], int(counted.is_there))
        yield up


_counters = Probe("Redis", lambda: counters.read("probe"))


def _counter_families(values: dict[str, float]) -> Iterator[Metric]:
    by_name: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for text, value in values.items():
        parts = counters.labels_of(text)
        if parts is not None:
            by_name[parts[0]][parts[1:]] = value
    yield _counter(counters.JOBS, "Runs of jobs by outcome", ["queue", "status"], by_name)
    yield _durations(by_name)
    names = sorted({processor.counter.name for processor in all_processors() if processor.counter})
    for name in names:
        yield _counter(name, "Runs of jobs by type and outcome", ["type", "status"], by_name)


def _counter(
    name: str, help_text: str, labels: list[str], by_name: dict[str, dict[tuple[str, ...], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name.removesuffix("_total"), help_text, labels=labels)
    for values, amount in sorted(by_name[name].items())[:_MOST_SERIES]:
        if len(values) == len(labels):
            family.add_metric(list(values), amount)
    return family


def _durations(by_name: dict[str, dict[tuple[str, ...], float]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        counters.DURATION_SUM.removesuffix("_sum"),
        "Seconds a run of a job took, by outcome",
        labels=["queue", "status"],
    )
    bounds = [*(str(bound) for bound in counters.BUCKETS), counters.INFINITY]
    stored = by_name[counters.DURATION_BUCKET]
    series = {(values[0], values[1]) for values in stored if len(values) == 3}
    for queue, status in sorted(series)[:_MOST_SERIES]:
        total, buckets = 0.0, []
        for bound in bounds:
            total += stored.get((queue, status, bound), 0.0)
            buckets.append((bound, total))
        family.add_metric([queue, status], buckets, by_name[counters.DURATION_SUM].get((queue, status), 0.0))
    return family


def _jobs_gauge(counts: dict[str, QueueCounts]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("jobqueue_jobs", "Jobs that are not done, by state", labels=["queue", "state"])
    for queue in django_settings.RQ_QUEUES:
        for state, count in counts[queue].as_dict().items():
            family.add_metric([queue, state], count)
    return family


def _set_aside_gauge(counts: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "jobqueue_set_aside", "What nobody can work on, until somebody puts it back", labels=["kind"]
    )
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family


def register() -> None:
    """Add the collector to the default registry, once."""
    if not any(isinstance(known, JobQueueCollector) for known in list(REGISTRY._collector_to_names)):
        REGISTRY.register(JobQueueCollector())


def page(accepted: str) -> tuple[bytes, str]:
    """All that this site counts, as the header Accept asks for it, and the content type of that."""
    encode, content_type = choose_encoder(accepted)
    return encode(_registry()), content_type


def _registry() -> CollectorRegistry:
    """The default one; with several processes what all of them wrote, as prometheus-client documents."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(JobQueueCollector())
    return registry
