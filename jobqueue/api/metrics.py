"""The page of metrics, by prometheus-client alone."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from jobqueue.monitoring import metrics


@csrf_exempt  # nothing is changed here: other methods are 405
@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """What this site counts, the job queue's own included."""
    body, content_type = metrics.page(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)
