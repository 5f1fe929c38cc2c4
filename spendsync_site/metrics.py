"""The page of metrics, for one process or for many that write down theirs together."""

from __future__ import annotations

import os

import prometheus_client
from django.http import HttpRequest, HttpResponse
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import multiprocess


def metrics_view(request: HttpRequest) -> HttpResponse:
    """As django-prometheus shows it, with the job queue's metrics also where many processes share a folder.

    With PROMETHEUS_MULTIPROC_DIR a page has what stands in that folder alone; the job queue's metrics are the
    same in every process, and read when they are asked for.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        shown: HttpResponse = ExportToDjangoView(request)
        return shown
    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    for collector in list(prometheus_client.REGISTRY._collector_to_names):
        if type(collector).__module__.startswith("jobqueue."):
            registry.register(collector)
    page = prometheus_client.generate_latest(registry)
    return HttpResponse(page, content_type=prometheus_client.CONTENT_TYPE_LATEST)
