"""Where the health endpoints live; a missing or extra slash is not a redirect.

They need nothing but Django. In a project that has Django REST Framework in INSTALLED_APPS it answers them.
"""

from types import ModuleType

from django.apps import apps
from django.urls import re_path


def _views() -> ModuleType:
    if apps.is_installed("rest_framework"):
        from jobqueue.api import views

        return views
    from jobqueue.api import plain_views

    return plain_views


app_name = "jobqueue"
urlpatterns = [
    re_path(r"^health/queues/?$", _views().queues_view, name="health-queues"),
    re_path(r"^health/live/?$", _views().live_view, name="health-live"),
    re_path(r"^health/ready/?$", _views().ready_view, name="health-ready"),
]
