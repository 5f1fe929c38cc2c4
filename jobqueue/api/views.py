"""The health endpoints by Django REST Framework, open to probes whatever the project's defaults are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobqueue.api import answers
from jobqueue.exceptions import MissingExtra

try:
    from rest_framework.decorators import (
        api_view,
        authentication_classes,
        content_negotiation_class,
        permission_classes,
        renderer_classes,
        schema,
        throttle_classes,
    )
    from rest_framework.negotiation import BaseContentNegotiation
    from rest_framework.permissions import AllowAny
    from rest_framework.renderers import JSONRenderer
    from rest_framework.request import Request
    from rest_framework.response import Response
except ImportError as error:
    raise MissingExtra("this view", "djangorestframework", extra="api") from error


class AlwaysJSON(BaseContentNegotiation):
    """A probe gets its answer, whatever it says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Bodies are not read."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """JSON."""
        return renderers[0], renderers[0].media_type


def _probe(view: Callable[[Request], Response]) -> Any:
    """An endpoint without login and limits that answers JSON, whatever the defaults; in no schema."""
    for decorate in (
        authentication_classes([]),
        permission_classes([AllowAny]),
        throttle_classes([]),
        renderer_classes([JSONRenderer]),
        content_negotiation_class(AlwaysJSON),
        schema(None),
    ):
        decorate(view)
    return api_view(["GET", "HEAD"])(view)


@_probe
def queues_view(request: Request) -> Response:
    """The queues' counts and UP, or DOWN with 503 when Redis or the database cannot be reached."""
    return _uncached(answers.queues())


@_probe
def live_view(request: Request) -> Response:
    """This process answers. Touches neither Redis nor the database."""
    return _uncached(answers.live())


@_probe
def ready_view(request: Request) -> Response:
    """Redis and the database answer, so this process can serve."""
    return _uncached(answers.ready())


def _uncached(answer: answers.Answer) -> Response:
    return Response(answer.body, status=answer.status, headers={"Cache-Control": "no-store"})
