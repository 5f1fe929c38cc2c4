"""The schema of the API (OpenAPI 3.1), and its pages for people; nothing is loaded from elsewhere.

The pages are Swagger UI from drf-spectacular-sidecar, which has to be installed and in INSTALLED_APPS. They
keep to `default-src 'self'`: their script and style are files, none stands in the page.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from jobqueue.api.access import ByHeaderAlone, InEnglish, MayDoThat, OperatorThrottle
from jobqueue.api.problems import answer, handle

_ONE_BY_ONE: Final = Lock()
"""While a schema is made drf-spectacular's settings are patched, and those are of the whole process."""


class SchemaView(InEnglish, SpectacularJSONAPIView):
    """The schema, for the staff."""

    http_method_names = ["get", "head"]

    permission_classes = [MayDoThat]
    throttle_classes = [OperatorThrottle]
    content_negotiation_class = ByHeaderAlone
    metadata_class = None
    custom_settings = {"OAS_VERSION": "3.1.0"}  # whatever SPECTACULAR_SETTINGS of the project say
    needs: dict[str, tuple[str, ...]] = {}
    action = ""

    def get_exception_handler(self) -> Callable[..., Any]:
        """Problem documents."""
        return handle

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """All of it, whatever the user may."""
        with _ONE_BY_ONE:
            return super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]


class DocsView(InEnglish, SpectacularSwaggerSplitView):
    """Swagger UI with the schema; who is logged in tries requests with the session."""

    url_name = "api-schema"
    template_name = "jobqueue/api_docs.html"
    permission_classes = [AllowAny]
    content_negotiation_class = ByHeaderAlone

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        """The file of the sidecar, whatever SPECTACULAR_SETTINGS of the project say."""
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return DocsView._swagger_ui_resource("favicon-32x32.png")


_READING: Final = ("GET", "HEAD")
_docs = DocsView.as_view()


# In a project without the admin its own page for logging in.
_LOGIN_URL = "admin:login" if apps.is_installed("django.contrib.admin") else django_settings.LOGIN_URL


def _pages(request: HttpRequest) -> HttpResponse:
    shown: HttpResponse = _docs(request)
    return shown


_pages_of_the_staff = staff_member_required(_pages, login_url=_LOGIN_URL)


@csrf_exempt  # these pages are only read; other methods are refused below
def docs(request: HttpRequest) -> HttpResponse:
    """The pages; who has not logged in is sent to where that is done."""
    if request.method in _READING:
        return _pages_of_the_staff(request)
    refusal = answer(request, 405, f"These pages are only read; allowed: {', '.join(_READING)}.")
    refusal.headers["Allow"] = ", ".join(_READING)
    return refusal


urlpatterns = [
    re_path("^schema/?$", SchemaView.as_view(), name="api-schema"),
    re_path("^docs/?$", docs, name="api-docs"),
]
