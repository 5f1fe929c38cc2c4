"""What this site adds to the middleware of its libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
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


class PagesMiddleware:
    """Pages are asked for and told, by GET, HEAD and POST: other methods are refused, whoever asks.

    Django's admin would answer each of them as a GET.
    """

    METHODS: Final = ("GET", "HEAD", "POST")
    _PAGES: Final = ("/admin/", "/settlements/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The refusal, or the page."""
        is_page = request.path_info == "/" or request.path_info.startswith(self._PAGES)
        if is_page and request.method not in self.METHODS:
            return HttpResponseNotAllowed(self.METHODS)
        return self.get_response(request)
