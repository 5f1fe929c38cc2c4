"""`/api/processors/`: processors with their limits and how much of these is used up."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import Reason, Whole, read_body
from jobqueue.api.problems import InvalidBody
from jobqueue.api.queues import VIEW
from jobqueue.api.shapes import as_one, described
from jobqueue.broker.limits import MOST_RATE
from jobqueue.operating.limits import MOST_CONCURRENCY, PROCESSOR_LIMITS, change_processor_limits
from jobqueue.operating.processors import ProcessorUse, processors_in_use
from jobqueue.operating.rights import Right, permissions_of
from jobqueue.operating.words import carried

_LONGEST_NAMED = 100


class ProcessorLine(serializers.Serializer[Any]):
    """A processor at this moment."""

    name = serializers.CharField()
    queue = serializers.CharField(
        allow_blank=True, help_text="Where its jobs go unless told otherwise; empty if it is not known here."
    )
    rate_limit = serializers.IntegerField(allow_null=True, help_text="Jobs that may start in a second.")
    concurrency_limit = serializers.IntegerField(allow_null=True, help_text="Jobs that may run at once.")
    active = serializers.IntegerField(help_text="How many run now.")
    starts = serializers.IntegerField(
        allow_null=True,
        help_text="That count against its rate limit now; null without one, or while Redis is away.",
    )


@as_one
class Processors(serializers.Serializer[Any]):
    """Every processor that is registered or has limits."""

    results = ProcessorLine(many=True)


class ProcessorLimitsBody(Reason):
    """The limits of a processor over all its queues: what is left out stays, null is no limit."""

    fewest = 1

    rate_limit = Whole(required=False, allow_null=True, min_value=1, max_value=MOST_RATE)
    concurrency_limit = Whole(required=False, allow_null=True, min_value=1, max_value=MOST_CONCURRENCY)


@extend_schema_view(
    list=described("Every processor with its limits and their use", Processors),
    retrieve=described("One processor with its limits and their use", ProcessorLine),
    limits=described(
        "Change the limits of this processor",
        ProcessorLine,
        body=ProcessorLimitsBody,
        codes={422: ("invalid",)},
    ),
)
class ProcessorViewSet(OperatorViewSet):
    """The processors that are registered or have limits."""

    lookup_value_regex = "[^/]+"
    lookup_field = "name"
    needs = {"list": VIEW, "retrieve": VIEW, "limits": permissions_of(Right.LIMIT_PROCESSOR)}

    def list(self, request: Request) -> Response:
        """All of them, by name."""
        return Response({"results": [_line(use) for use in processors_in_use()]})

    def retrieve(self, request: Request, name: str = "") -> Response:
        """One of them."""
        return Response(_line(_found(name)))

    @action(detail=True, methods=["patch"])
    def limits(self, request: Request, name: str = "") -> Response:
        """Change what the body names."""
        asked = read_body(ProcessorLimitsBody, request)
        reason = asked.pop("reason", "")
        if not asked:
            raise InvalidBody({field: ["Name one of the limits."] for field in PROCESSOR_LIMITS})
        _found(name)
        change_processor_limits(django_request(request), name, asked, reason)
        return Response(_line(_found(name)))


def _found(name: str) -> ProcessorUse:
    for use in processors_in_use():
        if use.name == name:
            return use
    raise Http404(f"There is no processor {carried(name[:_LONGEST_NAMED])}.")


def _line(use: ProcessorUse) -> dict[str, Any]:
    return {
        "name": carried(use.name),
        "queue": use.queue,
        "rate_limit": use.limits.rate_limit,
        "concurrency_limit": use.limits.concurrency_limit,
        "active": use.active,
        "starts": use.starts,
    }
