"""The addresses of the API, to be included under `api/`; they need the extra `api`.

    path("api/", include("jobqueue.api.routes"))

A missing slash at the end is no redirect. What stands under none of them is a problem document too, if
`not_found` is the last address of the project under `api/`.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, re_path, reverse
from django.views.decorators.csrf import csrf_exempt

from jobqueue.exceptions import MissingExtra

try:
    import drf_spectacular
    import rest_framework
except ImportError as error:
    raise MissingExtra("the API", "djangorestframework or drf-spectacular", extra="api") from error

from jobqueue.api.audit import AuditViewSet
from jobqueue.api.bulk import BulkViewSet
from jobqueue.api.causes import CauseViewSet
from jobqueue.api.jobs import JobViewSet
from jobqueue.api.problems import answer
from jobqueue.api.processors import ProcessorViewSet
from jobqueue.api.queues import QueueViewSet
from jobqueue.api.root import RootViewSet, Router
from jobqueue.api.schedule import ScheduleViewSet
from jobqueue.api.workers import WorkerViewSet

assert drf_spectacular and rest_framework


router = Router()
for name, views in (
    ("queues", QueueViewSet),
    ("processors", ProcessorViewSet),
    ("jobs", JobViewSet),
    ("causes", CauseViewSet),
    ("bulk", BulkViewSet),
    ("workers", WorkerViewSet),
    ("schedule", ScheduleViewSet),
    ("audit", AuditViewSet),
):
    router.register(name, views, basename=f"api-{name}")
urlpatterns = [re_path("^$", RootViewSet.as_view({"get": "list"}), name="api-root"), *router.urls]


@csrf_exempt  # nothing is done here, so that whoever posts to an address misspelt is told so
def not_found(request: HttpRequest, **_: Any) -> HttpResponse:
    """There is nothing at this address."""
    return answer(request, 404, f"There is nothing at this address{_where_the_schema_is()}.")


def _where_the_schema_is() -> str:
    try:
        return f"; all that there are stand in {reverse('api-schema')}"
    except NoReverseMatch:
        return ""
