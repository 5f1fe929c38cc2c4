"""Where the health endpoints live; a missing or extra slash is not a redirect."""

from django.urls import re_path

from jobqueue.api import views

app_name = "jobqueue"
urlpatterns = [
    re_path(r"^health/queues/?$", views.queues_view, name="health-queues"),
    re_path(r"^health/live/?$", views.live_view, name="health-live"),
    re_path(r"^health/ready/?$", views.ready_view, name="health-ready"),
]
