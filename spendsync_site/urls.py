"""The site's addresses."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from jobqueue.api.routes import not_found
from spendsync_site.errors import nowhere

urlpatterns = [
    path("", include("jobqueue.api.urls")),
    path("", include("jobqueue.api.metrics_urls")),  # django-prometheus's metrics are on it as well
    path("api/", include("jobqueue.api.routes")),
    path("api/", include("settlements.api.routes")),
    path("api/", include("jobqueue.api.documents")),
    re_path("^api(?:/.*)?$", not_found),
    # Where Django would look for a record's page outside the admin: none has one, and some keys are no keys.
    path("admin/r/<path:rest>", nowhere),
    path("admin/", admin.site.urls),
    path("anymail/", include("settlements.webhooks")),
    # Where the buttons of letters lead (SITE_URL), as long as no site for payers is in front of this one.
    path(
        "settlements/<path:object_id>/",
        RedirectView.as_view(pattern_name="admin:settlements_settlement_change"),
    ),
    # Pages name their icon; who asks for it without having read one asks here.
    path("favicon.ico", require_safe(RedirectView.as_view(url=f"{settings.STATIC_URL}jobqueue/favicon.svg"))),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]

handler400 = "spendsync_site.errors.bad_request"
handler403 = "spendsync_site.errors.permission_denied"
handler404 = "spendsync_site.errors.page_not_found"
handler500 = "spendsync_site.errors.server_error"
