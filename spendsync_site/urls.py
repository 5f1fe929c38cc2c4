"""The site's addresses."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", include("jobqueue.api.urls")),
    path("", include("jobqueue.api.metrics_urls")),  # django-prometheus's metrics are on it as well
    path("admin/", admin.site.urls),
    path("anymail/", include("settlements.webhooks")),
    # Where the buttons of letters lead (SITE_URL), as long as no site for payers is in front of this one.
    path(
        "settlements/<path:object_id>/",
        RedirectView.as_view(pattern_name="admin:settlements_settlement_change"),
    ),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]
