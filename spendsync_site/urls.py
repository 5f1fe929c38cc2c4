"""The site's addresses."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from spendsync_site.metrics import metrics_view

urlpatterns = [
    path("", include("jobqueue.api.urls")),
    re_path(r"^metrics/?$", metrics_view, name="prometheus-django-metrics"),
    path("admin/", admin.site.urls),
    path("anymail/", include("settlements.webhooks")),
    # Where the buttons of letters lead (SITE_URL), as long as no site for payers is in front of this one.
    path(
        "settlements/<path:object_id>/",
        RedirectView.as_view(pattern_name="admin:settlements_settlement_change"),
    ),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]
