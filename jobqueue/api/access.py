"""Who may ask for what, how often, and in which form: what all views of the API have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from django.http import HttpRequest
from django.utils import translation
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from jobqueue.api.bodies import LARGEST_BODY, StrictJSONParser, StrictQuery, read_query
from jobqueue.api.problems import handle
from jobqueue.api.streamed import give_length

READING: Final = "api-read"
CHANGING: Final = "api-change"
DEFAULT_RATES: Final = {READING: "1200/min", CHANGING: "240/min"}
"""How often one user may ask, where DEFAULT_THROTTLE_RATES of Django REST Framework says nothing of it."""
LANGUAGE: Final = "en"
_SAFE = ("GET", "HEAD", "OPTIONS")


class AlwaysJSON(JSONRenderer):
    """JSON in UTF-8, whatever is in it: half of a character (a lone surrogate) becomes a question mark."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """The body."""
        if data is None:
            return b""
        text = json.dumps(
            data, cls=self.encoder_class, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode("utf-8", "replace")


class ByHeaderAlone(DefaultContentNegotiation):
    """What is accepted is said by the header; there is no `?format=`."""

    settings = SimpleNamespace(URL_FORMAT_OVERRIDE=None)  # type: ignore[assignment]


def missing_of(user: Any, needs: tuple[str, ...]) -> list[str]:
    """Those of the permissions that the user lacks; of `a or b` one is enough."""
    return [needed for needed in needs if not any(map(user.has_perm, needed.split(" or ")))]


def may_all(user: Any, needs: tuple[str, ...]) -> bool:
    """Whether the user has all of these permissions."""
    return not missing_of(user, needs)


class MayDoThat(BasePermission):
    """Staff with the permissions of the verb, as in the admin; who lacks one is told which.

    Of `a or b` one is enough.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the user may."""
        user = request.user
        if not user or not user.is_authenticated:
            return False
        if not (user.is_active and getattr(user, "is_staff", False)):
            raise exceptions.PermissionDenied("That takes a user of the staff.")
        missing = missing_of(user, view.needs.get(view.action or "", ()))
        if missing:
            named = f"permission{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
            raise exceptions.PermissionDenied(f"That takes the {named}.")
        return True


class OperatorThrottle(SimpleRateThrottle):
    """So many requests of one user: those that read and those that change are counted apart."""

    def __init__(self) -> None:  # the rate depends on the request
        pass

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether this one is within the rate."""
        self.scope = READING if request.method in _SAFE else CHANGING
        rates: Mapping[str, Any] = api_settings.DEFAULT_THROTTLE_RATES or {}
        self.rate = rates.get(self.scope, DEFAULT_RATES[self.scope])
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: Any) -> str:
        """By user; who has not logged in by address."""
        user = request.user
        ident = user.pk if user and user.is_authenticated else self.get_ident(request)
        return str(self.cache_format % {"scope": self.scope, "ident": ident})


class InEnglish(APIView):
    """A view that speaks English, whatever the request accepts: what it says is read by programs, too."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The answer, with all of its texts."""
        with translation.override(LANGUAGE):
            response: Any = super().dispatch(request, *args, **kwargs)
            response.render()
        response.headers["Content-Language"] = LANGUAGE
        return response


class OperatorViewSet(InEnglish, ViewSet):
    """What an operator may ask for; `needs` names the permissions of each action, `what` what a key is of."""

    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    what: ClassVar[str] = ""
    permission_classes = [MayDoThat]
    renderer_classes = [AlwaysJSON]
    parser_classes = [StrictJSONParser]
    throttle_classes = [OperatorThrottle]
    content_negotiation_class = ByHeaderAlone
    metadata_class = None
    http_method_names = ["get", "head", "post", "patch"]

    def get_exception_handler(self) -> Callable[..., Any]:
        """Problem documents, whatever the project's other views answer with."""
        return handle

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count requests before permissions are looked at: also those that are refused.

        What an action does not ask the address for is refused by its name, here for those that ask nothing.
        """
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        request.version, request.versioning_scheme = None, None
        try:
            self.perform_authentication(request)
        except exceptions.AuthenticationFailed:
            self.check_throttles(request)  # by address: nobody may try tokens without end
            raise
        self.check_throttles(request)
        self.check_permissions(request)
        if request.method not in _SAFE:
            give_length(django_request(request), LARGEST_BODY)
        act = getattr(self, self.action or "", None)  # none for OPTIONS, which is refused after this
        if act is not None and not getattr(act, "takes_query", False):
            read_query(StrictQuery, request)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What stands here is of this moment and for this user."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def django_request(request: Request) -> HttpRequest:
    """Django's own request, as the audit and the apps are asked with; it knows the user of the token."""
    found: HttpRequest = request._request
    return found
