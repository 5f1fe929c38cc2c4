"""A minimal Django project around stock django-rq: nothing of this project in it."""

import os

SECRET_KEY = "for-benchmarks-only"  # noqa: S105
INSTALLED_APPS = ["django_rq"]
DATABASES: dict[str, dict[str, str]] = {}
USE_TZ = True
RQ_QUEUES = {
    name: {
        "HOST": "127.0.0.1",
        "PORT": int(os.environ["BENCHMARK_REDIS_PORT"]),
        "DB": 1,
        "DEFAULT_TIMEOUT": 180,
    }
    for name in ("email", "reminders", "settlement")
}
