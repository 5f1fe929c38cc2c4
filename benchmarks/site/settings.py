"""The site's settings with the benchmark's processor."""

import os

from spendsync_site.settings import *  # noqa: F403 - the site's settings, extended
from spendsync_site.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "benchmarks.site"]
if os.environ.get("BENCHMARK_STOCK_RQ") == "1":
    # In front of jobqueue, so that `rqworker` is django-rq's own command.
    INSTALLED_APPS = ["django_rq", *(app for app in INSTALLED_APPS if app != "django_rq")]
    SILENCED_SYSTEM_CHECKS = ["jobqueue.E005"]  # which says just that
    for _queue in RQ_QUEUES.values():  # noqa: F405
        _queue.pop("SERIALIZER")
