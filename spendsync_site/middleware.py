"""What this site adds to the middleware of its libraries."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django_prometheus.middleware import PrometheusAfterMiddleware


class BoundedMetricsMiddleware(PrometheusAfterMiddleware):  # type: ignore[misc]
    """django-prometheus's metrics, none of whose labels grows with what strangers send.

    It counts latencies under whatever method a request names, and each name is a series for ever.
    """

    def label_metric(
        self, metric: Any, request: HttpRequest, response: object | None = None, **labels: str
    ) -> Any:
        """The metric with these labels; a method that HTTP does not know is `<invalid method>`."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)
