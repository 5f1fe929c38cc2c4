"""Health endpoints, open to probes: numbers only, no names, hosts or versions."""

from __future__ import annotations

from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue import health


@api_view(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([AllowAny])
def queues_view(request: Request) -> Response:
    """The queues' counts and UP, or DOWN with 503 when Redis or the database cannot be reached."""
    state = health.check_queues()
    return _uncached(Response(state.as_dict(), status=200 if state.is_up else 503))


@api_view(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([AllowAny])
def live_view(request: Request) -> Response:
    """This process answers. Touches neither Redis nor the database."""
    return _uncached(Response({"status": health.UP}))


@api_view(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([AllowAny])
def ready_view(request: Request) -> Response:
    """Redis and the database answer, so this process can serve."""
    ready = health.is_ready()
    return _uncached(Response({"status": health.UP if ready else health.DOWN}, status=200 if ready else 503))


def _uncached(response: Response) -> Response:
    response["Cache-Control"] = "no-store"
    return response
