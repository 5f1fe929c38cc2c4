"""Health endpoints, open to probes: numbers only, no names, hosts or versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.decorators import (
    api_view,
    authentication_classes,
    content_negotiation_class,
    permission_classes,
    renderer_classes,
    throttle_classes,
)
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.monitoring import health


class AlwaysJSON(BaseContentNegotiation):
    """A probe gets its answer, whatever it says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Bodies are not read."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """JSON."""
        return renderers[0], renderers[0].media_type


def _probe(view: Callable[[Request], Response]) -> Any:
    """An endpoint without login and limits that answers JSON, whatever the site's defaults are."""
    for decorate in (
        authentication_classes([]),
        permission_classes([AllowAny]),
        throttle_classes([]),
        renderer_classes([JSONRenderer]),
        content_negotiation_class(AlwaysJSON),
    ):
        decorate(view)
    return api_view(["GET", "HEAD"])(view)


@_probe
def queues_view(request: Request) -> Response:
    """The queues' counts and UP, or DOWN with 503 when Redis or the database cannot be reached."""
    state = health.check_queues()
    return _uncached(Response(state.as_dict(), status=200 if state.is_up else 503))


@_probe
def live_view(request: Request) -> Response:
    """This process answers. Touches neither Redis nor the database."""
    return _uncached(Response({"status": health.UP}))


@_probe
def ready_view(request: Request) -> Response:
    """Redis and the database answer, so this process can serve."""
    ready = health.is_ready()
    return _uncached(Response({"status": health.UP if ready else health.DOWN}, status=200 if ready else 503))


def _uncached(response: Response) -> Response:
    response["Cache-Control"] = "no-store"
    return response
