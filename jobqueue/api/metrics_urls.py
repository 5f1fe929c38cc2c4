"""`/metrics` for Prometheus, where a project has no such page yet; an extra slash is not a redirect."""

from django.urls import re_path

from jobqueue.api.metrics import metrics_view

urlpatterns = [re_path(r"^metrics/?$", metrics_view, name="jobqueue-metrics")]
