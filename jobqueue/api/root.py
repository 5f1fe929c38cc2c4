"""`/api/`: which resources there are, for who asks; and the router that they are registered with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

from django.urls import NoReverseMatch, reverse
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from jobqueue.api.access import OperatorViewSet, may_all
from jobqueue.api.shapes import as_one, described


class Router(SimpleRouter):
    """Addresses with or without a slash at their end."""

    known: ClassVar[list[Router]] = []
    """All that there are: the resources of each app stand in the root."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
        Router.known.append(self)


class ResourceLine(serializers.Serializer[Any]):
    """A resource that has a list."""

    name = serializers.CharField()
    url = serializers.URLField()


@as_one
class Root(serializers.Serializer[Any]):
    """The resources that this user may list."""

    results = ResourceLine(many=True)


@extend_schema_view(list=described("The resources, with their addresses", Root))
class RootViewSet(OperatorViewSet):
    """Where to begin."""

    needs = {"list": ()}

    def list(self, request: Request) -> Response:
        """Those that this user may list. Permissions: none but to be of the staff."""
        return Response({"results": list(_resources(request))})


def _resources(request: Request) -> Iterator[dict[str, str]]:
    for router in Router.known:
        for name, views, basename in router.registry:
            needs: tuple[str, ...] | None = getattr(views, "needs", {}).get("list")
            if needs is None or not may_all(request.user, needs):
                continue
            with suppress(NoReverseMatch):  # a project may leave an app's addresses out
                # Each may end with a slash or without one.
                address = reverse(f"{basename}-list").removesuffix("/")
                yield {"name": name, "url": request.build_absolute_uri(f"{address}/")}
